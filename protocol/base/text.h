// The text forms that people type and read: durations, host:port addresses, lock names.
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_BASE_TEXT_H_
#define LOCKD_PROTOCOL_BASE_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lockd {

// "500ms", "10s", "5m", "1h": a whole number and a unit, nothing between. The error says what is
// allowed.
[[nodiscard]] absl::StatusOr<int64_t> ParseDurationMs(absl::string_view text);
// The shortest of the same forms that is exact: 90000 -> "90s", 1500 -> "1500ms", 0 -> "0ms".
[[nodiscard]] std::string FormatDurationMs(int64_t ms);

struct HostPort {
  std::string host;
  uint16_t port = 0;

  [[nodiscard]] std::string ToString() const;
  // All addresses of the machine: good to listen on, not to reach it.
  [[nodiscard]] bool is_wildcard() const;
  // Others can reach it: no wildcard, and not port 0.
  [[nodiscard]] bool is_dialable() const;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// "127.0.0.1:7420", "node-a:7420", "[::1]:7420". The host is not empty.
[[nodiscard]] absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);
// Comma-separated; at least one.
[[nodiscard]] absl::StatusOr<std::vector<HostPort>> ParseHostPorts(absl::string_view text);

// Lock names are any bytes. Shown, printable ASCII stands as it is; every other byte, and the
// backslash, as \xNN. On the command line the same form is read back; a backslash that does not
// start \xNN is an error.
[[nodiscard]] std::string EscapeName(absl::string_view name);
[[nodiscard]] absl::StatusOr<std::string> UnescapeName(absl::string_view text);

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_BASE_TEXT_H_
