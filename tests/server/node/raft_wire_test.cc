#include "server/node/raft_wire.h"

#include <string>
#include <vector>

#include "consensus/storage/snapshot_job.h"
#include "gtest/gtest.h"
#include "protocol/frame_decoder.h"
#include "protocol/raft.pb.h"

namespace lockd::node {
namespace {

using raft::Index;
using raft::Term;

constexpr NodeId kFrom{1};
constexpr NodeId kTo{2};

// Every field of every message has a value of its own, so that a mix-up shows.
std::vector<raft::MessageBody> AllBodies() {
  return {
      raft::VoteRequest{.pre_vote = true,
                        .campaign_term = Term{11},
                        .last_index = Index{12},
                        .last_term = Term{10},
                        .is_transfer = true},
      raft::VoteReply{.pre_vote = true, .campaign_term = Term{13}, .granted = true},
      raft::AppendRequest{.prev_index = Index{20},
                          .prev_term = Term{5},
                          .commit = Index{19},
                          .round = 44,
                          .entries = {{.term = Term{6},
                                       .index = Index{21},
                                       .kind = raft::EntryKind::kNoop,
                                       .time = ClusterTime{1'000},
                                       .payload = ""},
                                      {.term = Term{7},
                                       .index = Index{22},
                                       .kind = raft::EntryKind::kCommand,
                                       .time = ClusterTime{1'001},
                                       .payload = std::string("\0\xff bytes", 8)}}},
      raft::AppendReply{.accepted = true,
                        .prev_index = Index{30},
                        .match_index = Index{31},
                        .hint_index = Index{32},
                        .hint_term = Term{33},
                        .round = 34},
      raft::Heartbeat{.commit = Index{40}, .round = 41},
      raft::HeartbeatReply{.round = 50},
      raft::TimeoutNow{},
      raft::SnapshotChunk{.snapshot = {.base = {Index{60}, Term{8}, ClusterTime{61}},
                                       .bytes = 62'000,
                                       .checksum = 0xfedcba98},
                          .offset = 63,
                          .bytes = std::string("\0\xff piece", 8)},
      raft::SnapshotChunkReply{.snapshot = {.base = {Index{70}, Term{9}, ClusterTime{71}},
                                            .bytes = 72'000,
                                            .checksum = 73},
                               .next_offset = 74,
                               .installed = true},
  };
}

FrameView Decode(FrameDecoder& decoder, const std::string& bytes) {
  decoder.Feed(bytes);
  FrameView frame;
  EXPECT_EQ(decoder.Next(&frame), FrameDecoder::Result::kFrame);
  return frame;
}

TEST(RaftWire, EveryMessageComesBackAsItWas) {
  for (const raft::MessageBody& body : AllBodies()) {
    const raft::Message message{.from = kFrom, .to = kTo, .term = Term{9}, .body = body};
    Outbox outbox;
    SendRaftMessage(message, PeerLinkId{3}, outbox);
    const NodeActions actions = outbox.Take(kNeverLocal);
    ASSERT_EQ(actions.peers.size(), 1u);
    FrameDecoder decoder(kPeerFrameBytesMax);
    const auto parsed = ParseRaftMessage(kFrom, kTo, Decode(decoder, actions.peers[0].bytes));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, message) << "body " << body.index();
  }
}

TEST(RaftWire, RefusesWhatIsNoRaftFrame) {
  for (const Opcode opcode : {Opcode::kHello, Opcode::kAcquire, static_cast<Opcode>(255)}) {
    FrameView frame;
    frame.header.opcode = opcode;
    EXPECT_FALSE(ParseRaftMessage(kFrom, kTo, frame).ok());
  }
}

TEST(RaftWire, RefusesBytesThatDoNotParseAndUnknownEntryKinds) {
  FrameView frame;
  frame.header.opcode = Opcode::kAppend;
  frame.payload = "\xff\xff\xff";
  EXPECT_FALSE(ParseRaftMessage(kFrom, kTo, frame).ok());
  pb::AppendRequest append;
  append.add_entries()->set_kind(3);
  const std::string bytes = append.SerializeAsString();
  frame.payload = bytes;
  EXPECT_FALSE(ParseRaftMessage(kFrom, kTo, frame).ok());
}

// The file thread takes no more at a time.
TEST(RaftWire, RefusesAPieceOfASnapshotThatIsTooLarge) {
  FrameView frame;
  frame.header.opcode = Opcode::kSnapshotChunk;
  pb::SnapshotChunk chunk;
  for (const size_t excess : {0u, 1u}) {
    chunk.set_bytes(std::string(storage::kSnapshotWriteBytesMax + excess, 'x'));
    const std::string bytes = chunk.SerializeAsString();
    frame.payload = bytes;
    EXPECT_EQ(ParseRaftMessage(kFrom, kTo, frame).ok(), excess == 0);
  }
}

}  // namespace
}  // namespace lockd::node
