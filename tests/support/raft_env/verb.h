// A verb of the scenario scripts. Each stands in a file of its own, which defines one Verb with its
// manual; verbs.cc lists them all. raft_script --help and tests/testdata/raft/README.md show the
// same texts.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_RAFT_ENV_VERB_H_
#define LOCKD_TESTS_SUPPORT_RAFT_ENV_VERB_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tests/support/datadriven/arguments.h"
#include "tests/support/raft_env/network.h"
#include "tests/support/raft_env/raft_env.h"

namespace lockd::raft_env {

struct Verb {
  absl::string_view name;
  absl::string_view arguments;  // as in a usage line
  absl::string_view help;       // what it does and what it prints; Manual() breaks lines
  absl::Status (*run)(RaftEnv& env, datadriven::Arguments& args);
};

// In the order of the manual.
[[nodiscard]] absl::Span<const Verb* const> AllVerbs();
[[nodiscard]] const Verb* FindVerb(absl::string_view name);
// The manual: every verb with its arguments and help, and what all of them share.
[[nodiscard]] std::string Manual();

// ---- Arguments that many verbs take. Mistakes are remembered in `args`; check args.Finish()
// before the result is used.

// "1", "2..4" or "1,3"; nothing when it is none of these.
[[nodiscard]] std::optional<std::vector<NodeId>> ParseIds(absl::string_view text);
// "1->2" is one link, "1-2" is both directions; empty when it is neither.
[[nodiscard]] std::vector<Link> ParseLinks(absl::string_view text);
// "(TERM,INDEX)", as describe.h writes positions.
struct Position {
  raft::Term term;
  raft::Index index;
};
[[nodiscard]] std::optional<Position> ParsePosition(absl::string_view text);

// The next positional argument, an existing member. Returns id 0 after a mistake.
[[nodiscard]] NodeId TakeMember(RaftEnv& env, datadriven::Arguments& args);
// The same, and the member is up.
[[nodiscard]] NodeId TakeRunningMember(RaftEnv& env, datadriven::Arguments& args);
// All positional arguments that are left, each a list of members; all members when there is none.
[[nodiscard]] std::vector<NodeId> TakeMembers(RaftEnv& env, datadriven::Arguments& args);
// The same, without those that are down when none is named; naming one that is down is a mistake.
[[nodiscard]] std::vector<NodeId> TakeRunningMembers(RaftEnv& env, datadriven::Arguments& args);
// All positional arguments that are left, each a link between existing members.
[[nodiscard]] std::vector<Link> TakeLinks(RaftEnv& env, datadriven::Arguments& args);

}  // namespace lockd::raft_env

#endif  // LOCKD_TESTS_SUPPORT_RAFT_ENV_VERB_H_
