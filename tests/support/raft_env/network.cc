#include "tests/support/raft_env/network.h"

#include <algorithm>
#include <array>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/raft_env/verb.h"

namespace lockd::raft_env {
namespace {

constexpr std::array<absl::string_view, 11> kTypes = {
    "pre-vote",       "pre-vote-reply", "vote",       "vote-reply",
    "append",         "append-reply",   "heartbeat",  "heartbeat-reply",
    "snapshot-chunk", "snapshot-reply", "timeout-now"};

struct TypeNameOf {
  absl::string_view operator()(const raft::VoteRequest& vote) const {
    return vote.pre_vote ? "pre-vote" : "vote";
  }
  absl::string_view operator()(const raft::VoteReply& vote) const {
    return vote.pre_vote ? "pre-vote-reply" : "vote-reply";
  }
  absl::string_view operator()(const raft::AppendRequest&) const { return "append"; }
  absl::string_view operator()(const raft::AppendReply&) const { return "append-reply"; }
  absl::string_view operator()(const raft::Heartbeat&) const { return "heartbeat"; }
  absl::string_view operator()(const raft::HeartbeatReply&) const { return "heartbeat-reply"; }
  absl::string_view operator()(const raft::TimeoutNow&) const { return "timeout-now"; }
  absl::string_view operator()(const raft::SnapshotChunk&) const { return "snapshot-chunk"; }
  absl::string_view operator()(const raft::SnapshotChunkReply&) const { return "snapshot-reply"; }
};

std::vector<raft::Message> TakeOut(std::vector<raft::Message>& messages,
                                   const std::vector<size_t>& positions) {
  std::vector<raft::Message> taken;
  for (const size_t position : positions) taken.push_back(messages[position]);
  std::vector<size_t> ascending = positions;
  std::sort(ascending.begin(), ascending.end());
  ascending.erase(std::unique(ascending.begin(), ascending.end()), ascending.end());
  for (auto position = ascending.rbegin(); position != ascending.rend(); ++position) {
    messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(*position));
  }
  return taken;
}

}  // namespace

absl::string_view TypeName(const raft::Message& message) {
  return std::visit(TypeNameOf{}, message.body);
}

Selection Selection::Take(datadriven::Arguments& args) {
  Selection selection;
  selection.reversed = args.Flag("reversed");
  if (const std::optional<uint64_t> from = args.OptionalNumber("from")) {
    selection.from = NodeId(*from);
  }
  if (const std::optional<uint64_t> to = args.OptionalNumber("to")) selection.to = NodeId(*to);
  if (const std::optional<uint64_t> term = args.OptionalNumber("term")) {
    selection.term = raft::Term(*term);
  }
  selection.type = args.Text("type");
  if (selection.type && std::count(kTypes.begin(), kTypes.end(), *selection.type) == 0) {
    args.Fail(absl::StrCat("unknown message type `", *selection.type,
                           "`, one of: ", absl::StrJoin(kTypes, ", ")));
  }
  selection.at = args.NumberList("at");
  selection.skip = args.Number("skip", 0);
  selection.count = args.OptionalNumber("count");
  if (const std::optional<std::string> word = args.OptionalPositional()) {
    const std::vector<Link> links = ParseLinks(*word);
    if (links.size() == 1) {
      selection.from = links[0].from;
      selection.to = links[0].to;
    } else {
      args.Fail(absl::StrCat("`", *word, "` is not a link A->B"));
    }
  }
  return selection;
}

std::vector<size_t> Selection::Apply(const std::vector<raft::Message>& messages) const {
  std::vector<size_t> matching;
  for (size_t i = 0; i < messages.size(); ++i) {
    const raft::Message& message = messages[i];
    if ((from && message.from != *from) || (to && message.to != *to) ||
        (type && TypeName(message) != *type) || (term && message.term != *term)) {
      continue;
    }
    matching.push_back(i);
  }
  std::vector<size_t> chosen;
  if (at.empty()) {
    chosen = matching;
  } else {
    for (const uint64_t position : at) {
      if (position >= 1 && position <= matching.size()) chosen.push_back(matching[position - 1]);
    }
  }
  if (reversed) std::reverse(chosen.begin(), chosen.end());
  chosen.erase(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(
                                                    std::min<uint64_t>(skip, chosen.size())));
  if (count && *count < chosen.size()) chosen.resize(*count);
  return chosen;
}

std::vector<raft::Message> Network::Take(const std::vector<size_t>& positions) {
  return TakeOut(in_flight_, positions);
}

void Network::Release(const Selection& selection) {
  for (raft::Message& message : TakeOut(held_, selection.Apply(held_))) Send(std::move(message));
}

}  // namespace lockd::raft_env
