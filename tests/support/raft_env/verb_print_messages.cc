#include "tests/support/raft_env/verbs.h"

#include "absl/strings/str_cat.h"
#include "consensus/raft/describe.h"

namespace lockd::raft_env {
namespace {

// True when there is something to list.
bool PrintList(RaftEnv& env, absl::string_view title, const std::vector<raft::Message>& messages,
               const Selection& selection) {
  const std::vector<size_t> positions = selection.Apply(messages);
  if (positions.empty()) return false;
  env.Print(title);
  size_t number = 0;
  for (const size_t position : positions) {
    env.Print("  ", ++number, " ", raft::Describe(messages[position]));
  }
  return true;
}

absl::Status PrintMessages(RaftEnv& env, datadriven::Arguments& args) {
  const Selection selection = Selection::Take(args);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  const bool some = PrintList(env, "in flight:", env.network().in_flight(), selection);
  const bool held = PrintList(env, "held:", env.network().held(), selection);
  if (!some && !held) env.Print("none");
  return absl::OkStatus();
}

}  // namespace

const Verb kPrintMessages = {
    "print-messages",
    "[A->B] [from=N] [to=N] [type=TYPE] [term=T] [skip=K] [count=K] [at=(P,...)] [reversed]",
    "Lists messages in flight and held, numbered as `at` counts them.", PrintMessages};

}  // namespace lockd::raft_env
