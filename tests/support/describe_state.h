// Commands, results, events and reads of server/state as one readable line each, for comparisons
// and failure messages. Every field is in the text: equal texts are equal values.
#ifndef LOCKD_TESTS_SUPPORT_DESCRIBE_STATE_H_
#define LOCKD_TESTS_SUPPORT_DESCRIBE_STATE_H_

#include <string>

#include "server/state/types.h"

namespace lockd::state {

[[nodiscard]] std::string Describe(const Command& command);
[[nodiscard]] std::string Describe(const CommandResult& result);
[[nodiscard]] std::string Describe(const Event& event);
[[nodiscard]] std::string Describe(const LockView& lock);
[[nodiscard]] std::string Describe(const SessionView& session);
[[nodiscard]] std::string Describe(const Settings& settings);
[[nodiscard]] std::string Describe(const Member& member);

}  // namespace lockd::state

#endif  // LOCKD_TESTS_SUPPORT_DESCRIBE_STATE_H_
