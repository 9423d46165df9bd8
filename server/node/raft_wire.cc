#include "server/node/raft_wire.h"

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "consensus/storage/snapshot_job.h"
#include "protocol/raft.pb.h"

namespace lockd::node {
namespace {

using raft::Index;
using raft::Term;

FrameHeader HeaderOf(Opcode opcode) {
  return {.opcode = opcode, .flags = 0, .group = GroupId{0}};
}

// -- core to wire; the names on both sides are the same --

std::pair<Opcode, pb::VoteRequest> ToWire(const raft::VoteRequest& body) {
  pb::VoteRequest wire;
  wire.set_pre_vote(body.pre_vote);
  wire.set_campaign_term(body.campaign_term.value());
  wire.set_last_index(body.last_index.value());
  wire.set_last_term(body.last_term.value());
  wire.set_is_transfer(body.is_transfer);
  return {Opcode::kVote, std::move(wire)};
}

std::pair<Opcode, pb::VoteReply> ToWire(const raft::VoteReply& body) {
  pb::VoteReply wire;
  wire.set_pre_vote(body.pre_vote);
  wire.set_campaign_term(body.campaign_term.value());
  wire.set_granted(body.granted);
  return {Opcode::kVoteReply, std::move(wire)};
}

std::pair<Opcode, pb::AppendRequest> ToWire(const raft::AppendRequest& body) {
  pb::AppendRequest wire;
  wire.set_prev_index(body.prev_index.value());
  wire.set_prev_term(body.prev_term.value());
  wire.set_commit(body.commit.value());
  wire.set_round(body.round);
  for (const raft::Entry& entry : body.entries) {
    pb::RaftEntry* to = wire.add_entries();
    to->set_term(entry.term.value());
    to->set_index(entry.index.value());
    to->set_kind(static_cast<uint32_t>(entry.kind));
    to->set_time_ms(entry.time.value());
    to->set_payload(entry.payload);
  }
  return {Opcode::kAppend, std::move(wire)};
}

std::pair<Opcode, pb::AppendReply> ToWire(const raft::AppendReply& body) {
  pb::AppendReply wire;
  wire.set_accepted(body.accepted);
  wire.set_prev_index(body.prev_index.value());
  wire.set_match_index(body.match_index.value());
  wire.set_hint_index(body.hint_index.value());
  wire.set_hint_term(body.hint_term.value());
  wire.set_round(body.round);
  return {Opcode::kAppendReply, std::move(wire)};
}

std::pair<Opcode, pb::Heartbeat> ToWire(const raft::Heartbeat& body) {
  pb::Heartbeat wire;
  wire.set_commit(body.commit.value());
  wire.set_round(body.round);
  return {Opcode::kHeartbeat, std::move(wire)};
}

std::pair<Opcode, pb::HeartbeatReply> ToWire(const raft::HeartbeatReply& body) {
  pb::HeartbeatReply wire;
  wire.set_round(body.round);
  return {Opcode::kHeartbeatReply, std::move(wire)};
}

std::pair<Opcode, pb::TimeoutNow> ToWire(const raft::TimeoutNow& /*body*/) {
  return {Opcode::kTimeoutNow, pb::TimeoutNow()};
}

std::pair<Opcode, pb::SnapshotChunk> ToWire(const raft::SnapshotChunk& body) {
  pb::SnapshotChunk wire;
  SetSnapshot(body.snapshot, wire.mutable_snapshot());
  wire.set_offset(body.offset);
  wire.set_bytes(body.bytes);
  return {Opcode::kSnapshotChunk, std::move(wire)};
}

std::pair<Opcode, pb::SnapshotChunkReply> ToWire(const raft::SnapshotChunkReply& body) {
  pb::SnapshotChunkReply wire;
  SetSnapshot(body.snapshot, wire.mutable_snapshot());
  wire.set_next_offset(body.next_offset);
  wire.set_installed(body.installed);
  return {Opcode::kSnapshotChunkReply, std::move(wire)};
}

// -- wire to core --

std::optional<raft::MessageBody> FromWire(const pb::VoteRequest& wire) {
  return raft::VoteRequest{.pre_vote = wire.pre_vote(),
                           .campaign_term = Term{wire.campaign_term()},
                           .last_index = Index{wire.last_index()},
                           .last_term = Term{wire.last_term()},
                           .is_transfer = wire.is_transfer()};
}

std::optional<raft::MessageBody> FromWire(const pb::VoteReply& wire) {
  return raft::VoteReply{.pre_vote = wire.pre_vote(),
                         .campaign_term = Term{wire.campaign_term()},
                         .granted = wire.granted()};
}

std::optional<raft::MessageBody> FromWire(pb::AppendRequest& wire) {
  raft::AppendRequest body{.prev_index = Index{wire.prev_index()},
                           .prev_term = Term{wire.prev_term()},
                           .commit = Index{wire.commit()},
                           .round = wire.round(),
                           .entries = {}};
  body.entries.reserve(static_cast<size_t>(wire.entries_size()));
  for (pb::RaftEntry& from : *wire.mutable_entries()) {
    if (from.kind() > static_cast<uint32_t>(raft::EntryKind::kConfiguration)) return std::nullopt;
    body.entries.push_back({.term = Term{from.term()},
                            .index = Index{from.index()},
                            .kind = static_cast<raft::EntryKind>(from.kind()),
                            .time = ClusterTime{from.time_ms()},
                            .payload = std::move(*from.mutable_payload())});
  }
  return body;
}

std::optional<raft::MessageBody> FromWire(const pb::AppendReply& wire) {
  return raft::AppendReply{.accepted = wire.accepted(),
                           .prev_index = Index{wire.prev_index()},
                           .match_index = Index{wire.match_index()},
                           .hint_index = Index{wire.hint_index()},
                           .hint_term = Term{wire.hint_term()},
                           .round = wire.round()};
}

std::optional<raft::MessageBody> FromWire(const pb::Heartbeat& wire) {
  return raft::Heartbeat{.commit = Index{wire.commit()}, .round = wire.round()};
}

std::optional<raft::MessageBody> FromWire(const pb::HeartbeatReply& wire) {
  return raft::HeartbeatReply{.round = wire.round()};
}

std::optional<raft::MessageBody> FromWire(const pb::TimeoutNow& /*wire*/) {
  return raft::TimeoutNow{};
}

std::optional<raft::MessageBody> FromWire(pb::SnapshotChunk& wire) {
  if (wire.bytes().size() > storage::kSnapshotWriteBytesMax) return std::nullopt;
  return raft::SnapshotChunk{.snapshot = SnapshotFromWire(wire.snapshot()),
                             .offset = wire.offset(),
                             .bytes = std::move(*wire.mutable_bytes())};
}

std::optional<raft::MessageBody> FromWire(const pb::SnapshotChunkReply& wire) {
  return raft::SnapshotChunkReply{.snapshot = SnapshotFromWire(wire.snapshot()),
                                  .next_offset = wire.next_offset(),
                                  .installed = wire.installed()};
}

template <typename Wire>
absl::StatusOr<raft::Message> Parse(NodeId from, NodeId to, const FrameView& frame) {
  Wire wire;
  if (frame.payload.size() <= kPeerFrameBytesMax &&
      wire.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()))) {
    const Term term{wire.term()};
    if (std::optional<raft::MessageBody> body = FromWire(wire)) {
      return raft::Message{.from = from, .to = to, .term = term, .body = *std::move(body)};
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("a malformed ", OpcodeName(frame.header.opcode), " frame"));
}

}  // namespace

void SetSnapshot(const raft::SnapshotId& snapshot, pb::SnapshotId* wire) {
  wire->set_base_index(snapshot.base.index.value());
  wire->set_base_term(snapshot.base.term.value());
  wire->set_base_time_ms(snapshot.base.time.value());
  wire->set_bytes(snapshot.bytes);
  wire->set_checksum(snapshot.checksum);
}

raft::SnapshotId SnapshotFromWire(const pb::SnapshotId& wire) {
  return {.base = {.index = Index{wire.base_index()},
                   .term = Term{wire.base_term()},
                   .time = ClusterTime{wire.base_time_ms()}},
          .bytes = wire.bytes(),
          .checksum = wire.checksum()};
}

void SendRaftMessage(const raft::Message& message, PeerLinkId link, Outbox& outbox) {
  std::visit(
      [&](const auto& body) {
        auto [opcode, wire] = ToWire(body);
        wire.set_term(message.term.value());
        outbox.SendToPeer(link, HeaderOf(opcode), wire);
      },
      message.body);
}

absl::StatusOr<raft::Message> ParseRaftMessage(NodeId from, NodeId to, const FrameView& frame) {
  switch (frame.header.opcode) {
    case Opcode::kVote:
      return Parse<pb::VoteRequest>(from, to, frame);
    case Opcode::kVoteReply:
      return Parse<pb::VoteReply>(from, to, frame);
    case Opcode::kAppend:
      return Parse<pb::AppendRequest>(from, to, frame);
    case Opcode::kAppendReply:
      return Parse<pb::AppendReply>(from, to, frame);
    case Opcode::kHeartbeat:
      return Parse<pb::Heartbeat>(from, to, frame);
    case Opcode::kHeartbeatReply:
      return Parse<pb::HeartbeatReply>(from, to, frame);
    case Opcode::kTimeoutNow:
      return Parse<pb::TimeoutNow>(from, to, frame);
    case Opcode::kSnapshotChunk:
      return Parse<pb::SnapshotChunk>(from, to, frame);
    case Opcode::kSnapshotChunkReply:
      return Parse<pb::SnapshotChunkReply>(from, to, frame);
    default:
      return absl::InvalidArgumentError(absl::StrCat("a frame of kind ",
                                                     static_cast<int>(frame.header.opcode),
                                                     " does not belong on the peer port"));
  }
}

}  // namespace lockd::node
