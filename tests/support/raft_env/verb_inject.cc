#include "tests/support/raft_env/verbs.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lockd::raft_env {
namespace {

// key=(TERM,INDEX), a must.
Position TakePosition(datadriven::Arguments& args, absl::string_view key) {
  const std::string text = args.Text(key).value_or("");
  const std::optional<Position> position = ParsePosition(text);
  if (!position) args.Fail(absl::StrCat("`", key, "=", text, "` is not (TERM,INDEX)"));
  return position.value_or(Position{});
}

std::vector<raft::Entry> TakeEntries(datadriven::Arguments& args, raft::Index index) {
  std::vector<raft::Entry> entries;
  for (const uint64_t term : args.NumberList("entries")) {
    ++index;
    entries.push_back(ScriptedEntry(raft::Term(term), index));
  }
  return entries;
}

raft::MessageBody TakeBody(datadriven::Arguments& args, const std::string& type) {
  const bool pre_vote = type == "pre-vote" || type == "pre-vote-reply";
  if (type == "vote" || type == "pre-vote") {
    const Position last = TakePosition(args, "last");
    return raft::VoteRequest{.pre_vote = pre_vote,
                             .campaign_term = raft::Term(args.RequiredNumber("campaign")),
                             .last_index = last.index,
                             .last_term = last.term,
                             .is_transfer = args.Flag("transfer")};
  }
  if (type == "vote-reply" || type == "pre-vote-reply") {
    return raft::VoteReply{.pre_vote = pre_vote,
                           .campaign_term = raft::Term(args.RequiredNumber("campaign")),
                           .granted = args.Flag("granted")};
  }
  if (type == "append") {
    const Position prev = TakePosition(args, "prev");
    return raft::AppendRequest{.prev_index = prev.index,
                               .prev_term = prev.term,
                               .commit = raft::Index(args.Number("commit", 0)),
                               .round = args.Number("round", 0),
                               .entries = TakeEntries(args, prev.index)};
  }
  if (type == "append-reply") {
    raft::AppendReply reply;
    reply.accepted = args.Flag("accepted");
    reply.prev_index = raft::Index(args.RequiredNumber("prev"));
    reply.match_index = raft::Index(args.Number("match", 0));
    reply.round = args.Number("round", 0);
    if (reply.accepted) return reply;
    const Position hint = TakePosition(args, "hint");
    reply.hint_index = hint.index;
    reply.hint_term = hint.term;
    return reply;
  }
  if (type == "heartbeat") {
    return raft::Heartbeat{.commit = raft::Index(args.Number("commit", 0)),
                           .round = args.Number("round", 0)};
  }
  if (type == "timeout-now") return raft::TimeoutNow{};
  if (type != "heartbeat-reply") args.Fail(absl::StrCat("unknown message type `", type, "`"));
  return raft::HeartbeatReply{.round = args.Number("round", 0)};
}

absl::Status Inject(RaftEnv& env, datadriven::Arguments& args) {
  const std::string word = args.Positional("A->B");
  const std::vector<Link> links = ParseLinks(word);
  if (links.size() != 1) args.Fail(absl::StrCat("`", word, "` is not a link A->B"));
  const std::string type = args.Positional("TYPE");
  raft::Message message;
  message.term = raft::Term(args.RequiredNumber("term"));
  message.body = TakeBody(args, type);
  if (absl::Status status = args.Finish(); !status.ok()) return status;
  message.from = links[0].from;
  message.to = links[0].to;
  env.Inject(message);
  return absl::OkStatus();
}

}  // namespace

const Verb kInject = {
    "inject",
    "A->B TYPE term=T [campaign=T] [last=(TERM,INDEX)] [prev=(TERM,INDEX)] [commit=I] "
    "[entries=(TERM,...)] [round=R] [granted] [accepted] [prev=I] [match=I] [hint=(TERM,INDEX)] "
    "[transfer]",
    "Delivers a message of the script's own making at once, as if A had sent it. Needed are: for "
    "vote and pre-vote `campaign` and `last`; for their replies `campaign`; for append `prev` "
    "(its "
    "entries, given by their terms, follow it and hold the commands that set-log would give "
    "them); "
    "for append-reply `prev` (an index) and, unless accepted, `hint`.",
    Inject};

}  // namespace lockd::raft_env
