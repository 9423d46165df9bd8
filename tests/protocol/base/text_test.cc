#include "protocol/base/text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockd {
namespace {

TEST(Duration, IsAWholeNumberAndAUnit) {
  EXPECT_EQ(*ParseDurationMs("0ms"), 0);
  EXPECT_EQ(*ParseDurationMs("500ms"), 500);
  EXPECT_EQ(*ParseDurationMs("10s"), 10'000);
  EXPECT_EQ(*ParseDurationMs("5m"), 300'000);
  EXPECT_EQ(*ParseDurationMs("1h"), 3'600'000);
  EXPECT_EQ(*ParseDurationMs("9223372036854775807ms"), INT64_MAX);
  for (const char* text : {"", "s", "10", "10 s", " 10s", "10s ", "-1s", "+1s", "1.5s", "10S", "1d",
                           "1h30m", "9223372036854775807s", "99999999999999999999ms"}) {
    EXPECT_FALSE(ParseDurationMs(text).ok()) << text;
  }
}

TEST(Duration, IsShownInTheLargestExactUnit) {
  EXPECT_EQ(FormatDurationMs(0), "0ms");
  EXPECT_EQ(FormatDurationMs(1'500), "1500ms");
  EXPECT_EQ(FormatDurationMs(90'000), "90s");
  EXPECT_EQ(FormatDurationMs(120'000), "2m");
  EXPECT_EQ(FormatDurationMs(7'200'000), "2h");
  for (const int64_t ms : {0, 1, 999, 1'000, 61'000, 3'600'000, 3'600'001}) {
    EXPECT_EQ(*ParseDurationMs(FormatDurationMs(ms)), ms);
  }
}

TEST(HostPort, IsReadAndShownAlike) {
  for (const char* text : {"127.0.0.1:7420", "node-a:0", "[::1]:65535"}) {
    ASSERT_TRUE(ParseHostPort(text).ok()) << text;
    EXPECT_EQ(ParseHostPort(text)->ToString(), text);
  }
  EXPECT_EQ(ParseHostPort("[::1]:1")->host, "::1");
  for (const char* text : {"", ":1", "host", "host:", "host:65536", "host:-1", "host:x", "::1:7420",
                           "[::1]", "[]:1"}) {
    EXPECT_FALSE(ParseHostPort(text).ok()) << text;
  }
}

TEST(HostPort, AWildcardOrPortZeroCannotBeDialled) {
  for (const char* text : {"127.0.0.1:1", "node-a:7420", "[::1]:65535"}) {
    EXPECT_TRUE(ParseHostPort(text)->is_dialable()) << text;
  }
  for (const char* text : {"127.0.0.1:0", "0.0.0.0:7420", "[::]:7420"}) {
    EXPECT_FALSE(ParseHostPort(text)->is_dialable()) << text;
  }
}

TEST(HostPort, ListsAreSeparatedByCommas) {
  ASSERT_TRUE(ParseHostPorts("a:1,b:2").ok());
  EXPECT_EQ(*ParseHostPorts("a:1,b:2"), (std::vector<HostPort>{{"a", 1}, {"b", 2}}));
  EXPECT_FALSE(ParseHostPorts("").ok());
  EXPECT_FALSE(ParseHostPorts("a:1,").ok());
}

TEST(Name, EveryByteIsShownAndReadBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const std::string shown = EscapeName(all);
  for (const char c : shown) EXPECT_TRUE(c >= ' ' && c <= '~');
  EXPECT_EQ(*UnescapeName(shown), all);
  EXPECT_EQ(EscapeName(std::string("a b\\\n\0\xff", 7)), "a b\\x5c\\x0a\\x00\\xff");
}

TEST(Name, ABackslashThatStartsNoByteIsAnError) {
  EXPECT_EQ(*UnescapeName("\\x4A\\x4b"), "JK");
  for (const char* text : {"\\", "\\n", "\\x", "\\x1", "\\xg0", "\\x0g", "a\\\\b", "\\X41"}) {
    EXPECT_FALSE(UnescapeName(text).ok()) << text;
  }
}

}  // namespace
}  // namespace lockd
