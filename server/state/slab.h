// Slab: records in chunks, addressed by 32-bit ids. A record never moves while it lives, growing
// never copies one, and an id is half a pointer.
//
// Freed ids are used again, last freed first; so ids depend on history and must not show in
// anything that replicas compare. Chunks are kept for the life of the slab.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_SLAB_H_
#define LOCKD_SERVER_STATE_SLAB_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "protocol/base/check.h"

namespace lockd::state {

// "No record", for every slab.
inline constexpr uint32_t kNoRecord = 0xffffffff;

template <typename T>
class Slab {
 public:
  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for (uint32_t id = 0; id < end_id_; ++id) {
      if (IsLive(id)) (*this)[id].~T();
    }
  }

  // A default-constructed record.
  uint32_t Allocate() {
    uint32_t id = free_head_;
    if (id != kNoRecord) {
      std::memcpy(&free_head_, Place(id), sizeof(free_head_));
    } else {
      LOCKD_CHECK(end_id_ < kNoRecord, "a slab is full");
      id = end_id_++;
      if (id / kChunkRecords == chunks_.size()) chunks_.emplace_back(new Chunk);
    }
    new (Place(id)) T();
    LiveWord(id) |= LiveBit(id);
    ++live_count_;
    return id;
  }

  void Free(uint32_t id) {
    (*this)[id].~T();
    LiveWord(id) &= ~LiveBit(id);
    std::memcpy(Place(id), &free_head_, sizeof(free_head_));
    free_head_ = id;
    --live_count_;
  }

  [[nodiscard]] T& operator[](uint32_t id) {
    return *std::launder(reinterpret_cast<T*>(Place(id)));
  }
  [[nodiscard]] const T& operator[](uint32_t id) const { return const_cast<Slab&>(*this)[id]; }

  // For walks in id order: ids below end_id() that are live.
  [[nodiscard]] uint32_t end_id() const { return end_id_; }
  [[nodiscard]] bool IsLive(uint32_t id) const {
    return (const_cast<Slab*>(this)->LiveWord(id) & LiveBit(id)) != 0;
  }
  [[nodiscard]] uint32_t live_count() const { return live_count_; }
  // The first live id in [from, end), but at most to the end of the 64 ids that `from` lies in:
  // then the first id beyond them, live or not. So one call is one look, however many are free.
  [[nodiscard]] uint32_t NextLive(uint32_t from, uint32_t end) const {
    if (from >= end) return end;
    const uint64_t live = const_cast<Slab*>(this)->LiveWord(from) >> (from % 64);
    const uint32_t to_word_end = 64 - from % 64;
    const uint32_t ahead = live == 0 ? to_word_end : static_cast<uint32_t>(std::countr_zero(live));
    return std::min(end, from + ahead);
  }

 private:
  static constexpr uint32_t kChunkRecords = 1024;
  static_assert(sizeof(T) >= sizeof(uint32_t), "a free record holds the next free id");

  struct Chunk {
    std::array<uint64_t, kChunkRecords / 64> live{};
    // Left uninitialised: a chunk's pages are touched as its records come into use.
    alignas(T) std::byte records[sizeof(T) * kChunkRecords];
  };

  std::byte* Place(uint32_t id) {
    return chunks_[id / kChunkRecords]->records + sizeof(T) * (id % kChunkRecords);
  }
  uint64_t& LiveWord(uint32_t id) {
    return chunks_[id / kChunkRecords]->live[id % kChunkRecords / 64];
  }
  static uint64_t LiveBit(uint32_t id) { return uint64_t{1} << (id % 64); }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  uint32_t end_id_ = 0;  // ids below have been handed out at least once
  uint32_t free_head_ = kNoRecord;
  uint32_t live_count_ = 0;
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_SLAB_H_
