// The digest of the replicated state: 128 bits that are equal on two replicas which have applied
// the same log, whatever their memory layout, hash seeds and slab order.
//
// Each record contributes the hash of its canonical bytes (fixed-width words, lengths before bytes,
// a tag for its kind, ids and never slots); the digest is the sum of all contributions modulo
// 2^128. A sum has no order, and a record that changes is subtracted as it was and added as it is,
// so that keeping the digest costs a hash or two for each change and reading it costs nothing.
//
// The hash is SipHash-1-3 with 128 bits of output (Aumasson and Bernstein) under a fixed key: it
// guards against bugs and broken memory, not against an attacker. The key holds kDigestVersion,
// which changes with any canonical form. It stays when there are only new kinds of records for
// what could not be before: all old states keep their digest, and with it their snapshots.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_DIGEST_H_
#define LOCKD_SERVER_STATE_DIGEST_H_

#include <bit>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "server/state/types.h"

namespace lockd::state {

inline constexpr uint64_t kDigestVersion = 2;

// What a contribution is the hash of; the first word of its canonical bytes.
enum class DigestTag : uint64_t {
  kCluster = 1,
  kMember,
  kSession,
  kLease,
  kAcknowledgedThrough,
  kReply,
  kOutcome,
  kHold,
  kWaiter,
  // Only of members that are not as a Bootstrap makes them (members.h).
  kRole,
  kLastNodeId,
};

class Hasher {
 public:
  explicit Hasher(DigestTag tag) { Word(static_cast<uint64_t>(tag)); }

  Hasher& Word(uint64_t word) {
    v3_ ^= word;
    Round();
    v0_ ^= word;
    return *this;
  }
  Hasher& Word(int64_t word) { return Word(static_cast<uint64_t>(word)); }
  template <typename Tag, typename Rep>
  Hasher& Word(StrongInt<Tag, Rep> number) {
    return Word(number.value());
  }
  Hasher& Bytes(absl::string_view bytes);

  [[nodiscard]] Digest Finish();

 private:
  void Round() {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }

  // SipHash's constants with the key ("lockd st", "ate dig" + version) and the marks of its 128-bit
  // variant mixed in.
  static constexpr uint64_t kKey0 = 0x74732064'6b636f6cu;
  static constexpr uint64_t kKey1 = 0x00676964'20657461u + (kDigestVersion << 56);
  uint64_t v0_ = 0x736f6d65'70736575u ^ kKey0;
  uint64_t v1_ = 0x646f7261'6e646f6du ^ kKey1 ^ 0xee;
  uint64_t v2_ = 0x6c796765'6e657261u ^ kKey0;
  uint64_t v3_ = 0x74656462'79746573u ^ kKey1;
};

// The running sum.
class DigestSum {
 public:
  void Add(const Digest& contribution) {
    const uint64_t low = sum_.low + contribution.low;
    sum_.high += contribution.high + (low < sum_.low ? 1 : 0);
    sum_.low = low;
  }
  void Subtract(const Digest& contribution) {
    sum_.high -= contribution.high + (sum_.low < contribution.low ? 1 : 0);
    sum_.low -= contribution.low;
  }
  [[nodiscard]] const Digest& value() const { return sum_; }

 private:
  Digest sum_;
};

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_DIGEST_H_
