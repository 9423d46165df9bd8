#include "protocol/base/text.h"

#include <array>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace lockd {
namespace {

struct Unit {
  absl::string_view name;
  int64_t ms;
};
// Longest first, for FormatDurationMs; "ms" before "s" does not matter since the digits end before
// the unit.
constexpr std::array<Unit, 4> kUnits = {{{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

}  // namespace

absl::StatusOr<int64_t> ParseDurationMs(absl::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) {
    ++digits;
  }
  int64_t count = 0;
  for (const Unit& unit : kUnits) {
    if (text.substr(digits) != unit.name) continue;
    if (!absl::SimpleAtoi(text.substr(0, digits), &count) ||
        count > std::numeric_limits<int64_t>::max() / unit.ms) {
      break;
    }
    return count * unit.ms;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", EscapeName(text),
      "\" is not a duration: write a whole number and ms, s, m or h, such as 500ms or 10s"));
}

std::string FormatDurationMs(int64_t ms) {
  for (const Unit& unit : kUnits) {
    if (ms != 0 && ms % unit.ms == 0) return absl::StrCat(ms / unit.ms, unit.name);
  }
  return absl::StrCat(ms, "ms");
}

std::string HostPort::ToString() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return is_ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

bool HostPort::is_wildcard() const {
  return host == "0.0.0.0" || host == "::";
}

bool HostPort::is_dialable() const {
  return port != 0 && !is_wildcard();
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const auto error = [text] {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", EscapeName(text),
                     "\" is not host:port with a port from 0 to 65535, such as 127.0.0.1:7420"));
  };
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return error();
  absl::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != absl::string_view::npos) {
    return error();  // an IPv6 address needs its brackets
  }
  uint32_t port = 0;
  if (host.empty() || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535)
    return error();
  return HostPort{std::string(host), static_cast<uint16_t>(port)};
}

absl::StatusOr<std::vector<HostPort>> ParseHostPorts(absl::string_view text) {
  std::vector<HostPort> addresses;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    absl::StatusOr<HostPort> address = ParseHostPort(part);
    if (!address.ok()) return address.status();
    addresses.push_back(*std::move(address));
  }
  return addresses;
}

std::string EscapeName(absl::string_view name) {
  constexpr absl::string_view kHex = "0123456789abcdef";
  std::string escaped;
  escaped.reserve(name.size());
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isprint(byte) && c != '\\') {
      escaped.push_back(c);
    } else {
      escaped += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return escaped;
}

absl::StatusOr<std::string> UnescapeName(absl::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  std::string name;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      name.push_back(text[i]);
      continue;
    }
    const bool has_room = i + 3 < text.size() && text[i + 1] == 'x';
    const int high = has_room ? digit(text[i + 2]) : -1;
    const int low = has_room ? digit(text[i + 3]) : -1;
    if (high < 0 || low < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", EscapeName(text),
          "\": a backslash must start \\xNN with two hex digits (\\x5c is the backslash itself)"));
    }
    name.push_back(static_cast<char>(high * 16 + low));
    i += 3;
  }
  return name;
}

}  // namespace lockd
