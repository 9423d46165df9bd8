// The vocabulary in protocol/base: numbers, bytes, checks, checksums, randomness, time.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/ids.h"
#include "protocol/base/random.h"
#include "protocol/base/strong_int.h"
#include "protocol/base/time.h"

namespace lockd {
namespace {

using Apples = StrongInt<struct ApplesTag>;
using Pears = StrongInt<struct PearsTag>;

TEST(StrongInt, KindsDoNotMix) {
  static_assert(!std::is_convertible_v<Apples, Pears>);
  static_assert(!std::is_constructible_v<Apples, Pears>);
  static_assert(!std::is_convertible_v<uint64_t, Apples>);
  static_assert(!std::is_convertible_v<Apples, uint64_t>);
  static_assert(sizeof(Apples) == sizeof(uint64_t));
}

TEST(StrongInt, CountsAndCompares) {
  Apples a(5);
  EXPECT_TRUE(Apples().is_zero());
  EXPECT_EQ((++a).value(), 6u);
  a += 4;
  EXPECT_EQ(a, Apples(10));
  EXPECT_EQ(a + 1, Apples(11));
  EXPECT_EQ(a - 3, Apples(7));
  EXPECT_EQ(a - Apples(4), 6u);
  EXPECT_LT(Apples(3), a);
  EXPECT_EQ(absl::StrCat(a), "10");
}

TEST(StrongInt, IsAHashKey) {
  absl::flat_hash_set<Apples> set = {Apples(1), Apples(2), Apples(1)};
  EXPECT_EQ(set.size(), 2u);
}

TEST(StrongIntDeathTest, GoingBelowZeroIsABug) {
  EXPECT_DEATH((void)(Apples(1) - 2), "underflow: 1 - 2");
  EXPECT_DEATH((void)(Apples(1) - Apples(2)), "underflow: 1 - 2");
}

TEST(StrongInt, SignedOnesGoBelowZero) {
  EXPECT_EQ(ClusterTime(1) - ClusterTime(3), -2);
  EXPECT_EQ((ClusterTime(1) - 3).value(), -2);
}

TEST(Bytes, AreReadAsTheyWereWritten) {
  std::string bytes;
  AppendLittle<uint8_t>(bytes, 0x01);
  AppendLittle<uint16_t>(bytes, 0x0302);
  AppendLittle<uint32_t>(bytes, 0x07060504);
  AppendLittle<uint64_t>(bytes, 0x0f0e0d0c0b0a0908u);
  bytes += "tail";
  for (size_t i = 0; i < 15; ++i) EXPECT_EQ(bytes[i], static_cast<char>(i + 1));

  ByteReader reader(bytes);
  EXPECT_EQ(reader.U8(), 0x01);
  EXPECT_EQ(reader.U16(), 0x0302);
  EXPECT_EQ(reader.U32(), 0x07060504u);
  EXPECT_EQ(reader.U64(), 0x0f0e0d0c0b0a0908u);
  EXPECT_FALSE(reader.AtEnd());
  EXPECT_EQ(reader.Bytes(4), "tail");
  EXPECT_TRUE(reader.AtEnd());
}

TEST(Bytes, StoreLittleWritesInPlace) {
  std::string bytes(6, '.');
  StoreLittle<uint32_t>(bytes.data() + 1, 0x44434241);
  EXPECT_EQ(bytes, ".ABCD.");
  EXPECT_EQ(LoadLittle<uint32_t>(bytes.data() + 1), 0x44434241u);
}

TEST(Bytes, AReaderRemembersThatItWentBeyondTheEnd) {
  ByteReader reader("abc");
  EXPECT_EQ(reader.U16(), 0x6261);
  EXPECT_EQ(reader.U32(), 0u) << "one byte is left";
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.U8(), 0) << "nothing comes after a failure, not even what is there";
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_FALSE(reader.AtEnd());

  ByteReader huge("abc");
  EXPECT_EQ(huge.Bytes(~size_t{0}), "");
  EXPECT_FALSE(huge.ok());
}

TEST(CheckDeathTest, SaysWhereAndWhat) {
  const int held = 2;
  EXPECT_DEATH(LOCKD_CHECK(held == 1, "lock ", 7, " has ", held, " owners"),
               "broken invariant at .*base_test.cc:[0-9]+: held == 1: lock 7 has 2 owners");
  EXPECT_DEATH(LOCKD_CHECK(held == 1), "base_test.cc:[0-9]+: held == 1");
  EXPECT_DEATH(LOCKD_UNREACHABLE("role ", 9), "unreachable: role 9");
}

TEST(CheckDeathTest, CallsTheHandlerAndAbortsIfItReturns) {
  EXPECT_EXIT(
      {
        SetCheckFailureHandler([](absl::string_view) { std::_Exit(16); });
        LOCKD_CHECK(false);
      },
      ::testing::ExitedWithCode(16), "");
  EXPECT_DEATH(
      {
        SetCheckFailureHandler([](absl::string_view) {});
        LOCKD_CHECK(false, "still dies");
      },
      "still dies");
}

TEST(Check, EvaluatesTheMessageOnlyWhenItFails) {
  int evaluated = 0;
  LOCKD_CHECK(true, ++evaluated);
  EXPECT_EQ(evaluated, 0);
}

TEST(Crc32c, MakesTheKnownChecksums) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c("The quick brown fox jumps over the lazy dog"), 0x22620404u);
  // RFC 3720, B.4.
  std::string ascending;
  std::string descending;
  for (int i = 0; i < 32; ++i) {
    ascending.push_back(static_cast<char>(i));
    descending.push_back(static_cast<char>(31 - i));
  }
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc32c(ascending), 0x46dd794eu);
  EXPECT_EQ(Crc32c(descending), 0x113fdb5cu);
  const std::string scsi_read = std::string("\x01\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16) +
                                std::string("\x14\0\0\0\0\0\x04\0\0\0\0\x14\0\0\0\x18", 16) +
                                std::string("\x28\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0", 16);
  EXPECT_EQ(Crc32c(scsi_read), 0xd9963a56u);
}

TEST(Crc32c, IsExtendedAcrossEveryCut) {
  std::string bytes;
  Random random(1);
  for (int i = 0; i < 300; ++i) bytes.push_back(static_cast<char>(random.Below(256)));
  const absl::string_view whole = bytes;
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    ASSERT_EQ(ExtendCrc32c(Crc32c(whole.substr(0, cut)), whole.substr(cut)), Crc32c(whole)) << cut;
  }
}

// The sequences are part of every simulated run: another one would make old seeds replay something
// else.
TEST(Random, MakesTheSameNumbersEverywhere) {
  Random zero(0);
  const std::array<uint64_t, 4> of_zero = {0x99ec5f36cb75f2b4u, 0xbf6e1f784956452au,
                                           0x1a5f849d4933e6e0u, 0x6aa594f1262d2d2cu};
  for (const uint64_t number : of_zero) EXPECT_EQ(zero.Next(), number);

  Random other(20240617);
  EXPECT_EQ(other.Below(1000), 301u);
  EXPECT_EQ(other.Between(10, 20), 11u);
  EXPECT_EQ(other.Fork().Next(), 0x144fc71749345111u);
}

TEST(Random, StaysWithinItsBoundsAndReachesBoth) {
  Random random(3);
  bool low = false;
  bool high = false;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t draw = random.Between(5, 9);
    ASSERT_GE(draw, 5u);
    ASSERT_LE(draw, 9u);
    low |= draw == 5;
    high |= draw == 9;
    ASSERT_EQ(random.Between(7, 7), 7u);
    ASSERT_FALSE(random.Chance(0, 5));
    ASSERT_TRUE(random.Chance(5, 5));
  }
  EXPECT_TRUE(low && high);
}

TEST(Random, IsEvenlySpreadOverASpanThatDoesNotDivideTheRange) {
  // Without rejection a span of 3/4 of the range would hit its lower third twice as often.
  constexpr uint64_t kSpan = 3 * (uint64_t{1} << 62);
  Random random(4);
  int lower_third = 0;
  for (int i = 0; i < 3000; ++i) lower_third += random.Below(kSpan) < kSpan / 3 ? 1 : 0;
  EXPECT_GT(lower_third, 900);
  EXPECT_LT(lower_third, 1100);
}

TEST(Random, CoversTheWholeRangeOfItsType) {
  Random a(5);
  Random b(5);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(a.Between(0, ~uint64_t{0}), b.Next());
}

TEST(RandomDeathTest, AnEmptyRangeIsABug) {
  Random random(6);
  EXPECT_DEATH((void)random.Between(2, 1), "2 > 1");
}

TEST(Time, TheServerCountsLongerThanAnyClientWithinTheDriftBound) {
  struct Row {
    int64_t client_ms;
    int64_t server_ms;
  };
  for (const Row& row : std::vector<Row>{
           {0, 20},                                 // the margin alone
           {1, 22},                                 // rounded up
           {199, 221},                              // exact: 201/199
           {200, 223},                              //
           {1'000, 1'031},                          // the smallest TTL
           {3'000, 3'051},                          // the smallest grace
           {10'000, 10'121},                        // the default TTL
           {3'600'000, 3'636'201},                  // the largest TTL
           {1'000'000'000'000, 1'010'050'251'277},  // the longest duration of a command
       }) {
    EXPECT_EQ(ServerDurationMs(row.client_ms), row.server_ms) << row.client_ms;
    // The server's clock may run fast by r and the client's slow by r: the server's count, divided
    // by (1 + r), must not be below the client's, divided by (1 - r). In integers: x 199/201.
    EXPECT_GE((row.server_ms - kDeadlineMarginMs) * 199, row.client_ms * 201) << row.client_ms;
    // And it waits no longer than the bound demands, to the millisecond.
    EXPECT_LT((row.server_ms - kDeadlineMarginMs - 1) * 199,
              row.client_ms * 201 + (row.client_ms == 0))
        << row.client_ms;
  }
}

TEST(Time, TheServersCountNeverDecreasesWithTheClients) {
  for (int64_t ms = 0; ms < 5'000; ++ms) {
    ASSERT_LT(ServerDurationMs(ms), ServerDurationMs(ms + 1)) << ms;
  }
}

}  // namespace
}  // namespace lockd
