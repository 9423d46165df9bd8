// Hash indexes that can be asked but not walked: absl::flat_hash_map changes its order at every
// process start, so nothing that decides may iterate over one. No begin(); who needs a sequence
// takes the keys sorted, or walks the slab that the index points into.
//
// Both are cut into shards by the key's hash, so that growing one rehashes a fraction of a
// millisecond's worth of entries at a time instead of stalling for all of them.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_INDEX_MAP_H_
#define LOCKD_SERVER_STATE_INDEX_MAP_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "protocol/base/check.h"
#include "server/state/keyed_hash.h"

namespace lockd::state {

template <typename K, typename V>
class IndexMap {
 public:
  // nullptr when there is none. The pointer holds until the next Insert or Erase.
  [[nodiscard]] const V* Find(const K& key) const {
    const auto& shard = ShardOf(key);
    const auto found = shard.find(key);
    return found == shard.end() ? nullptr : &found->second;
  }
  // Replaces what was there.
  void Insert(const K& key, V value) {
    if (ShardOf(key).insert_or_assign(key, std::move(value)).second) ++size_;
  }
  void Erase(const K& key) { size_ -= ShardOf(key).erase(key); }
  [[nodiscard]] size_t size() const { return size_; }

  [[nodiscard]] std::vector<K> SortedKeys() const {
    std::vector<K> keys;
    keys.reserve(size_);
    for (const auto& shard : shards_) {
      for (const auto& [key, value] : shard) keys.push_back(key);
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  }

 private:
  static constexpr size_t kShards = 64;
  using Shard = absl::flat_hash_map<K, V>;

  // The top bits: within a shard the map uses the low ones.
  [[nodiscard]] static size_t ShardIndex(const K& key) {
    return static_cast<uint64_t>(absl::Hash<K>{}(key)) >> 58;
  }
  [[nodiscard]] Shard& ShardOf(const K& key) { return shards_[ShardIndex(key)]; }
  [[nodiscard]] const Shard& ShardOf(const K& key) const { return shards_[ShardIndex(key)]; }

  std::array<Shard, kShards> shards_;
  size_t size_ = 0;
};

// Name -> id of the record that holds the name, without storing the name a second time: the set
// holds ids, each with 32 bits of its name's hash (9 bytes with the set's own), and compares names
// through `Records`, which has `absl::string_view NameOf(uint32_t id) const` and outlives the
// index. Because the hash is at hand, growing touches no record: a cache miss for each would make
// the rehash of one shard a stall. Names come from clients, hence the keyed hash.
template <typename Records>
class NameIndex {
 public:
  NameIndex(const Records* records, const HashKey& hash_key) : hash_key_(hash_key) {
    shards_.reserve(kShards);
    for (size_t i = 0; i < kShards; ++i) shards_.emplace_back(0, EntryHash{}, EntryEq{records});
  }

  // `none` when there is none.
  [[nodiscard]] uint32_t Find(absl::string_view name, uint32_t none) const {
    const Key key(name, hash_key_);
    const Shard& shard = shards_[key.shard];
    const auto found = shard.find(key);
    return found == shard.end() ? none : found->id;
  }
  // The name is not in the index.
  void Insert(absl::string_view name, uint32_t id) {
    const Key key(name, hash_key_);
    bool inserted = false;
    shards_[key.shard].lazy_emplace(key, [&](const typename Shard::constructor& construct) {
      construct(Entry{id, key.hash});
      inserted = true;
    });
    LOCKD_CHECK(inserted, "a name stands in the index twice");
    ++size_;
  }
  // The record still has its name.
  void Erase(absl::string_view name) {
    const Key key(name, hash_key_);
    const size_t erased = shards_[key.shard].erase(key);
    LOCKD_CHECK(erased == 1, "a name is not in the index");
    --size_;
  }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  // At 16 million names a shard holds 16 thousand, and a rehash of one takes a fraction of a
  // millisecond.
  static constexpr size_t kShards = 1024;

  struct Entry {
    uint32_t id;
    uint32_t hash;
  };
  // A name, hashed once: the top bits choose the shard, the low ones serve within it.
  struct Key {
    Key(absl::string_view n, const HashKey& hash_key) : name(n) {
      const uint64_t bits = KeyedHash(hash_key, n);
      shard = bits >> 54;
      hash = static_cast<uint32_t>(bits);
    }
    absl::string_view name;
    size_t shard;
    uint32_t hash;
  };
  struct EntryHash {
    using is_transparent = void;
    size_t operator()(const Key& key) const { return key.hash; }
    size_t operator()(const Entry& entry) const { return entry.hash; }
  };
  struct EntryEq {
    using is_transparent = void;
    bool operator()(const Key& key, const Entry& entry) const {
      return key.hash == entry.hash && key.name == records->NameOf(entry.id);
    }
    bool operator()(const Entry& entry, const Key& key) const { return (*this)(key, entry); }
    bool operator()(const Entry& a, const Entry& b) const { return a.id == b.id; }
    const Records* records;
  };
  using Shard = absl::flat_hash_set<Entry, EntryHash, EntryEq>;

  const HashKey hash_key_;
  std::vector<Shard> shards_;
  size_t size_ = 0;
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_INDEX_MAP_H_
