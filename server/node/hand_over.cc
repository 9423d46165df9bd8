#include "server/node/hand_over.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "consensus/raft/transfer.h"
#include "protocol/base/check.h"

namespace lockd::node {
namespace {

using raft::TransferOutcome;

pb::TransferResult WireOf(TransferOutcome outcome) {
  switch (outcome) {
    case TransferOutcome::kIsLeader:
      return pb::TRANSFER_RESULT_TRANSFERRED;
    case TransferOutcome::kNoSuchMember:
      return pb::TRANSFER_RESULT_NO_SUCH_MEMBER;
    case TransferOutcome::kNotVoter:
      return pb::TRANSFER_RESULT_NOT_VOTER;
    case TransferOutcome::kBusy:
      return pb::TRANSFER_RESULT_BUSY;
    case TransferOutcome::kNobody:
      return pb::TRANSFER_RESULT_NOBODY;
    case TransferOutcome::kStarted:
    case TransferOutcome::kNotLeader:
      break;
  }
  LOCKD_UNREACHABLE("outcome ", static_cast<int>(outcome));
}

}  // namespace

void HandOver::OnRequest(const RequestRef& request, const pb::TransferLeadershipRequest& wire) {
  const NodeId to{wire.to_node_id()};
  // Only of a leader that knows its cluster: another one is about to become one, or is none.
  const TransferOutcome outcome =
      context_.is_serving ? context_.raft->TransferLeadership(to) : TransferOutcome::kNotLeader;
  switch (outcome) {
    case TransferOutcome::kNotLeader:
      connections_.ReplyNotServing(request);
      return;
    case TransferOutcome::kStarted:
      Started();
      waiting_.push_back({request, to});
      return;
    default:
      Answer(request, WireOf(outcome));
  }
}

bool HandOver::Begin() {
  if (context_.raft->TransferLeadership(NodeId{0}) != TransferOutcome::kStarted) return false;
  Started();
  return true;
}

void HandOver::Started() {
  if (is_under_way()) return;
  context_.is_handing_over = true;
  context_.outbox.Note(
      absl::StrCat("handing leadership over to node ", context_.raft->transfer_target()));
}

void HandOver::OnTime(LocalTime now) {
  if (!is_under_way()) return;
  if (!deadline_) deadline_ = now + context_.options.election_ms_max * kNanosPerMilli;
  const raft::Raft& raft = *context_.raft;
  const NodeId leader = raft.leader_id();
  const bool is_decided = !leader.is_zero() && raft.transfer_target().is_zero();
  if (!is_decided && now < *deadline_) return;
  context_.is_handing_over = false;
  deadline_.reset();
  if (leader == context_.options.node_id) context_.outbox.Warn("the hand-over was given up");
  AnswerAll(leader);
}

void HandOver::AnswerAll(NodeId leader) {
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    if (leader.is_zero()) {
      connections_.ReplyNotServing(waiting.request);
    } else if (leader == context_.options.node_id) {
      Answer(waiting.request, pb::TRANSFER_RESULT_TIMED_OUT);
    } else {
      const bool is_wanted = waiting.to.is_zero() || waiting.to == leader;
      Answer(waiting.request,
             is_wanted ? pb::TRANSFER_RESULT_TRANSFERRED : pb::TRANSFER_RESULT_ANOTHER_LEADS);
    }
  }
}

void HandOver::Answer(const RequestRef& request, pb::TransferResult result) {
  pb::TransferLeadershipReply reply;
  FillStamp(context_, reply.mutable_stamp());
  reply.set_result(result);
  reply.set_leader_id(context_.raft->leader_id().value());
  connections_.Reply(request, reply);
}

}  // namespace lockd::node
