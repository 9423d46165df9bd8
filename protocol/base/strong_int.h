// StrongInt: a number that cannot be mixed up with a number of another kind.
//
//   using Term = StrongInt<struct TermTag>;
//   using Index = StrongInt<struct IndexTag>;
//
// Two adjacent uint64_t parameters are a bug waiting; two adjacent StrongInts of different kinds
// are a compile error when swapped. Arithmetic is limited to what makes sense for positions and
// identities: adding or subtracting a plain number, and the distance between two values of one kind
// (a plain number). Overflow is a bug and is checked where it can happen cheaply (operator-).
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_BASE_STRONG_INT_H_
#define LOCKD_PROTOCOL_BASE_STRONG_INT_H_

#include <compare>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"

namespace lockd {

template <typename Tag, typename Rep = uint64_t>
class StrongInt {
 public:
  using rep = Rep;

  constexpr StrongInt() = default;
  constexpr explicit StrongInt(Rep value) : value_(value) {}

  [[nodiscard]] constexpr Rep value() const { return value_; }
  // Zero means "none" for identities and "before the first" for positions.
  [[nodiscard]] constexpr bool is_zero() const { return value_ == 0; }

  friend constexpr auto operator<=>(StrongInt, StrongInt) = default;

  constexpr StrongInt& operator++() {
    ++value_;
    return *this;
  }
  constexpr StrongInt& operator+=(Rep n) {
    value_ = static_cast<Rep>(value_ + n);
    return *this;
  }
  friend constexpr StrongInt operator+(StrongInt a, Rep n) {
    return StrongInt(static_cast<Rep>(a.value_ + n));
  }
  friend constexpr StrongInt operator-(StrongInt a, Rep n) {
    LOCKD_CHECK(std::is_signed_v<Rep> || a.value_ >= n, "underflow: ", a.value_, " - ", n);
    return StrongInt(static_cast<Rep>(a.value_ - n));
  }
  friend constexpr Rep operator-(StrongInt a, StrongInt b) {
    LOCKD_CHECK(std::is_signed_v<Rep> || a.value_ >= b.value_, "underflow: ", a.value_, " - ",
                b.value_);
    return static_cast<Rep>(a.value_ - b.value_);
  }

  template <typename H>
  friend H AbslHashValue(H h, StrongInt v) {
    return H::combine(std::move(h), v.value_);
  }
  // Lets absl::StrCat and LOCKD_CHECK messages print the plain number.
  operator absl::AlphaNum() const { return absl::AlphaNum(value_); }  // NOLINT: on purpose

 private:
  Rep value_ = 0;
};

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_BASE_STRONG_INT_H_
