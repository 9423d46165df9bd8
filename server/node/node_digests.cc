// What this node does with what the digest watch finds.
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/node/node_impl.h"
#include "server/state/digest_text.h"

namespace lockd::node {
namespace {

constexpr int kExitBrokenInvariant = 16;

std::string TextOf(const DigestWatch::Alarm& alarm) {
  const std::string values =
      absl::StrJoin(alarm.values, ", ", [](std::string* out, const auto& each) {
        absl::StrAppend(out, "node ", each.first, " has ", state::ToText(each.second));
      });
  return absl::StrCat("ALARM: the states of the nodes differ after entry ", alarm.index, ": ",
                      values,
                      "; no majority of the voters has one of them, so it is not known who is "
                      "right and nobody stops (server/README.md, \"Digest watch\")");
}

}  // namespace

void Node::Impl::OnDigestMessage(const DigestMessage& message) {
  if (message.term != raft().term()) return;
  const DigestPoint& point = message.point;
  if (message.kind == DigestMessage::Kind::kReport) {
    // Nobody applies what the leader of its term has not committed.
    if (leads() && point.index <= raft().commit_index()) {
      digest_watch_.OnReport(message.from, point);
    }
  } else if (message.from == raft().leader_id()) {
    if (const std::optional<state::Digest> own = digest_watch_.OnVerdict(point)) {
      StopForDigest(point, *own);
    }
  }
}

// After everything that is applied in this turn.
void Node::Impl::WatchDigests() {
  const NodeId leader = raft().leader_id();
  const raft::Term term = raft().term();
  if (!leads()) {
    if (leader.is_zero() || leader == context.options.node_id) return;
    if (const std::optional<DigestPoint> point = digest_watch_.NextReport(leader, term)) {
      peer_links.Send(DigestMessage{.from = context.options.node_id,
                                    .to = leader,
                                    .term = term,
                                    .kind = DigestMessage::Kind::kReport,
                                    .point = *point});
    }
    return;
  }
  // Who decides is not certain while a change of the members is under way; it soon is.
  if (!raft().is_configuration_committed()) return;
  const DigestWatch::Findings findings = digest_watch_.Compare(raft().configuration(), now_);
  for (const DigestWatch::Verdict& verdict : findings.verdicts) {
    peer_links.Send(DigestMessage{.from = context.options.node_id,
                                  .to = verdict.to,
                                  .term = term,
                                  .kind = DigestMessage::Kind::kVerdict,
                                  .point = verdict.majority});
    if (verdict.theirs == verdict.majority.digest) continue;
    context.outbox.Warn(absl::StrCat(
        "node ", verdict.to, " has another state than a majority after entry ",
        verdict.majority.index, ": its digest is ", state::ToText(verdict.theirs),
        ", the majority's ", state::ToText(verdict.majority.digest), "; it is told to stop"));
  }
  context.digest_alarms = digest_watch_.alarms();
  if (findings.alarm) context.outbox.Warn(TextOf(*findings.alarm));
  if (findings.own) StopForDigest(findings.own->majority, findings.own->theirs);
}

// Whoever it led elects another one. The log is as good as before, so this node goes on under its
// id; its state has to come from what was right.
void Node::Impl::StopForDigest(const DigestPoint& majority, const state::Digest& own) {
  const raft::Index last_right = digest_watch_.agreed_index();
  context.outbox.Die(
      {.exit_status = kExitBrokenInvariant,
       .message = absl::StrCat(
           "the state of node ", context.options.node_id, " is wrong: after entry ", majority.index,
           " its digest is ", state::ToText(own), ", that of a majority of the cluster is ",
           state::ToText(majority.digest),
           "; the last entry after which they are known to agree is ", last_right,
           last_right.is_zero() ? " (none since this start)" : "",
           ". Snapshots of later ones are set aside. Start it again: it makes its state anew from "
           "an older one and the log, or says that there is none"),
       .last_right = last_right});
}

}  // namespace lockd::node
