#include "consensus/raft/describe.h"

#include <optional>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "consensus/raft/membership.h"
#include "protocol/base/check.h"

namespace lockd::raft {
namespace {

// Payloads are shown whole up to this; beyond it their beginning and size.
constexpr size_t kPayloadBytesShown = 40;

std::string Position(Term term, Index index) {
  return absl::StrCat("(", term, ",", index, ")");
}

std::string Ids(const std::vector<NodeId>& ids) {
  std::string text;
  for (const NodeId id : ids) absl::StrAppend(&text, text.empty() ? "" : ",", id);
  return text;
}

std::string Entries(const std::vector<Entry>& entries) {
  std::string text = "[";
  for (const Entry& entry : entries) {
    absl::StrAppend(&text, text.size() > 1 ? ", " : "", Describe(entry));
  }
  return text + "]";
}

std::string Body(const VoteRequest& body) {
  return absl::StrCat(body.pre_vote ? "pre-vote" : "vote", " for=", body.campaign_term,
                      " last=", Position(body.last_term, body.last_index),
                      body.is_transfer ? " transfer" : "");
}

std::string Body(const VoteReply& body) {
  return absl::StrCat(body.pre_vote ? "pre-vote-reply" : "vote-reply", " for=", body.campaign_term,
                      body.granted ? " granted" : " refused");
}

std::string Body(const AppendRequest& body) {
  return absl::StrCat("append prev=", Position(body.prev_term, body.prev_index),
                      " commit=", body.commit, " round=", body.round, " ", Entries(body.entries));
}

std::string Body(const AppendReply& body) {
  if (body.accepted) {
    return absl::StrCat("append-reply accepted prev=", body.prev_index, " match=", body.match_index,
                        " round=", body.round);
  }
  return absl::StrCat("append-reply refused prev=", body.prev_index,
                      " hint=", Position(body.hint_term, body.hint_index), " round=", body.round);
}

std::string Body(const Heartbeat& body) {
  return absl::StrCat("heartbeat commit=", body.commit, " round=", body.round);
}

std::string Body(const HeartbeatReply& body) {
  return absl::StrCat("heartbeat-reply round=", body.round);
}

std::string Body(const TimeoutNow&) {
  return "timeout-now";
}

// "(3,17) of 4096B": a snapshot by what it ends with.
std::string Snapshot(const SnapshotId& snapshot) {
  return absl::StrCat(Position(snapshot.base.term, snapshot.base.index), " of ", snapshot.bytes,
                      "B");
}

std::string Body(const SnapshotChunk& body) {
  return absl::StrCat("snapshot-chunk ", Snapshot(body.snapshot), " bytes=[", body.offset, ",",
                      body.offset + body.bytes.size(), ")");
}

std::string Body(const SnapshotChunkReply& body) {
  return absl::StrCat("snapshot-reply ", Snapshot(body.snapshot), " next=", body.next_offset,
                      body.installed ? " installed" : "");
}

absl::string_view KindName(EntryKind kind) {
  switch (kind) {
    case EntryKind::kNoop:
      return "noop";
    case EntryKind::kCommand:
      return "command";
    case EntryKind::kConfiguration:
      return "configuration";
  }
  return "unknown";
}

absl::string_view StateName(Progress::State state) {
  switch (state) {
    case Progress::State::kProbe:
      return "probe";
    case Progress::State::kReplicate:
      return "replicate";
    case Progress::State::kSnapshot:
      return "snapshot";
  }
  return "unknown";
}

std::string FollowerLine(const Progress& progress) {
  return absl::StrCat("  node ", progress.id(), " ", StateName(progress.state()),
                      " match=", progress.match_index(), " next=", progress.next_index(),
                      " inflight=", progress.inflight_appends(), "/", progress.inflight_bytes(),
                      "B", progress.read_id().has_value() ? " reading" : "", "\n");
}

}  // namespace

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  return "unknown";
}

std::string Describe(const Configuration& configuration) {
  std::string text = absl::StrCat("voters=", Ids(configuration.voters));
  if (IsJoint(configuration)) {
    absl::StrAppend(&text, " outgoing=", Ids(configuration.outgoing_voters));
  }
  if (!configuration.learners.empty()) {
    absl::StrAppend(&text, " learners=", Ids(configuration.learners));
  }
  return text;
}

std::string Describe(const Entry& entry) {
  std::string text =
      absl::StrCat(Position(entry.term, entry.index), " ", KindName(entry.kind), " t=", entry.time);
  const auto change = entry.kind == EntryKind::kConfiguration
                          ? DecodeConfigurationChange(entry.payload)
                          : std::nullopt;
  if (change.has_value()) {
    absl::StrAppend(&text, " ", Describe(change->configuration));
    if (!change->particulars.empty()) {
      absl::StrAppend(&text, " +", change->particulars.size(), "B");
    }
  } else if (entry.payload.size() > kPayloadBytesShown) {
    absl::StrAppend(&text, " \"", absl::CHexEscape(entry.payload.substr(0, kPayloadBytesShown)),
                    "\"... ", entry.payload.size(), "B");
  } else if (!entry.payload.empty()) {
    absl::StrAppend(&text, " \"", absl::CHexEscape(entry.payload), "\"");
  }
  return text;
}

std::string Describe(const Message& message) {
  return absl::StrCat(message.from, "->", message.to, " t", message.term, " ",
                      std::visit([](const auto& body) { return Body(body); }, message.body));
}

std::string Describe(const HardState& hard_state) {
  return absl::StrCat("term=", hard_state.term, " vote=", hard_state.voted_for,
                      " commit=", hard_state.commit);
}

std::string Describe(const ReadRequest& read) {
  return absl::StrCat("read ", read.id, " entries=[", read.first, ",", read.last,
                      "] bytes_max=", read.bytes_max);
}

std::string Describe(const ReleasedRead& read) {
  if (!read.confirmed) return absl::StrCat("read-index ", read.context, " lost");
  return absl::StrCat("read-index ", read.context, " at=", read.index);
}

std::string Describe(const Ready& ready) {
  std::string text;
  for (const Message& message : ready.messages) {
    absl::StrAppend(&text, "send ", Describe(message), "\n");
  }
  if (ready.write.has_value()) {
    const WriteRequest& write = *ready.write;
    absl::StrAppend(&text, "write ", write.id);
    if (write.hard_state.has_value()) absl::StrAppend(&text, " ", Describe(*write.hard_state));
    if (write.base.has_value()) {
      absl::StrAppend(&text, " base=", Position(write.base->term, write.base->index));
    }
    if (!write.entries.empty()) absl::StrAppend(&text, " ", Entries(write.entries));
    absl::StrAppend(&text, "\n");
    for (const Message& message : write.messages_once_durable) {
      absl::StrAppend(&text, "  then send ", Describe(message), "\n");
    }
  }
  for (const Entry& entry : ready.committed) {
    absl::StrAppend(&text, "apply ", Describe(entry), "\n");
  }
  for (const ReadRequest& read : ready.reads) absl::StrAppend(&text, Describe(read), "\n");
  for (const ReleasedRead& read : ready.released_reads) {
    absl::StrAppend(&text, Describe(read), "\n");
  }
  for (const auto& [from, chunk] : ready.snapshot_chunks) {
    absl::StrAppend(&text, "from ", from, ": ", Body(chunk), "\n");
  }
  for (const auto& [from, reply] : ready.snapshot_replies) {
    absl::StrAppend(&text, "from ", from, ": ", Body(reply), "\n");
  }
  return text;
}

std::string Describe(const Raft& raft) {
  std::string text =
      absl::StrCat("node ", raft.id(), " ", RoleName(raft.role()), " term=", raft.term(),
                   " vote=", raft.voted_for(), " leader=", raft.leader_id(), " log=[",
                   raft.first_index(), ",", raft.last_index(), "] durable=", raft.durable_index(),
                   " commit=", raft.commit_index(), " applied=", raft.applied_index(), "\n");
  if (raft.configuration_index() > raft.log().base_index()) {
    absl::StrAppend(&text, "  members of ", raft.configuration_index(), ": ",
                    Describe(raft.configuration()), "\n");
  }
  if (const auto* leader = std::get_if<Leader>(&raft.role_state())) {
    for (const Progress& progress : leader->followers()) text += FollowerLine(progress);
    if (const std::optional<Transfer>& transfer = leader->transfer()) {
      absl::StrAppend(&text, "  hands over to node ", transfer->to(),
                      transfer->is_told() ? ", which is told" : "", "\n");
    }
  }
  return text;
}

}  // namespace lockd::raft
