#include "tests/sim/ledgers.h"

#include "absl/status/statusor.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/frame.h"
#include "server/node/digest_wire.h"
#include "server/node/raft_wire.h"

namespace lockd::sim {
namespace {

void Demand(const std::string& broken) {
  LOCKD_CHECK(broken.empty(), broken);
}

// A configuration has the time of the entry before it; the leader's clock goes on meanwhile.
bool IsStamped(const raft::Entry& entry) {
  return entry.kind != raft::EntryKind::kConfiguration;
}

// The committed one, and those after it.
std::vector<raft::Configuration> ConfigurationsFrom(const raft::Raft& raft) {
  const raft::Index committed = raft.configurations().At(raft.commit_index()).index;
  std::vector<raft::Configuration> configurations;
  for (const raft::ConfigurationLog::Placed& placed : raft.configurations().all()) {
    if (placed.index >= committed) configurations.push_back(placed.change.configuration);
  }
  return configurations;
}

}  // namespace

Ledgers::Ledgers(const Ledgers& before, const std::vector<NodeId>& voters,
                 const raft::LogBase& base)
    : scheduler_(before.scheduler_), disks_(voters, base), logs_(base), clocks_(before.clocks_) {
  clocks_.GoOnAfter(base.time);
  for (const NodeId voter : voters) {
    votes_.BecameDurable(voter, {base.term, NodeId{0}, base.index});
  }
}

void Ledgers::OnPeerFrame(NodeId from, NodeId to, absl::string_view frame) {
  // Whole, and not damaged yet: header and payload are where the format says.
  const FrameView view{.header = {.opcode = static_cast<Opcode>(frame[8]),
                                  .flags = static_cast<uint8_t>(frame[9]),
                                  .group = GroupId(LoadLittle<uint16_t>(frame.data() + 10)),
                                  .request_id = LoadLittle<uint32_t>(frame.data() + 12)},
                       .payload = frame.substr(kFrameHeaderBytes)};
  if (view.header.opcode == Opcode::kHello || view.header.opcode == Opcode::kReason ||
      node::IsDigestFrame(view.header.opcode)) {
    return;
  }
  const absl::StatusOr<raft::Message> message = node::ParseRaftMessage(from, to, view);
  LOCKD_CHECK(message.ok(), "a node sends what nobody understands: ", message.status().message());
  Demand(votes_.Sent(*message));
  Demand(disks_.Sent(*message));
  Demand(wires_.Sent(*message));
}

void Ledgers::OnWriteBegins(NodeId node, const storage::LogWrite& write) {
  Demand(disks_.WriteBegins(node, write.hard_state, write.entries, write.base));
}

void Ledgers::OnDurable(NodeId node, const storage::LogWrite& write) {
  disks_.WriteCompleted(node);
  if (write.hard_state.has_value()) votes_.BecameDurable(node, *write.hard_state);
}

void Ledgers::OnRecovered(NodeId node, const raft::RecoveredLog& log) {
  Demand(disks_.Recovered(node, log));
  Demand(votes_.Restarted(node, log.hard_state));
  FollowBase(node, {log.base_index, log.base_term, log.base_time});
  logs_.Ends(node, log.last_index);
  for (const raft::Entry& entry : log.tail) Demand(logs_.Holds(node, entry));
}

void Ledgers::AfterTurn(const SimNode& node) {
  const raft::Raft& raft = node.node().raft();
  LOCKD_CHECK(node.node().digest_alarms() == 0, "node ", node.node_id(),
              " finds that the states of the nodes differ");
  Demand(votes_.AfterTurn(node.node_id(), raft.term(), raft.voted_for()));
  if (raft.is_leader()) {
    Demand(votes_.Leads(node.node_id(), raft.term(), raft.configuration()));
  }
  committing_ = &raft;
  FollowLog(node);
  // What the core believes to be on its disk is there.
  raft::Index& durable = durable_[node.node_id()];
  if (raft.durable_index() == durable) return;
  durable = raft.durable_index();
  LOCKD_CHECK(durable <= node.shadow().durable_index() &&
                  (!raft.log().InMemory(durable) || node.shadow().Has(raft.log().At(durable))),
              "DurableIsOnDisk: node ", node.node_id(), " takes index ", durable,
              " for durable, its disk has another log up to ", node.shadow().last_index(),
              " and snapshots up to ", node.shadow().durable_index());
}

void Ledgers::FollowBase(NodeId node, const raft::LogBase& base) {
  const raft::Term known = logs_.TermAt(node, base.index);
  if (base.index.is_zero() || known == base.term) return;
  // An old log is back, after a snapshot that had replaced it in memory only.
  if (known.is_zero() && base.index < logs_.last_index(node)) return;
  Demand(logs_.Begins(node, base));
}

void Ledgers::FollowLog(const SimNode& node) {
  const NodeId id = node.node_id();
  const raft::Raft& raft = node.node().raft();
  FollowBase(id, raft.log().base());
  // Back to where both agree; entries of one index and term are the same, which is what LogChain
  // makes sure of.
  raft::Index known = logs_.last_index(id);
  const raft::Index before = known;
  if (known > raft.last_index()) known = raft.last_index();
  // (A term that is not known stands below what a crash can have taken back.)
  while (known > raft.log().base_index() &&
         raft.log().TermAt(known).value_or(logs_.TermAt(id, known)) != logs_.TermAt(id, known)) {
    known = known - 1;
  }
  if (known != before) logs_.Ends(id, known);
  for (raft::Index index = known + 1; index <= raft.last_index(); ++index) {
    const raft::Entry& entry = raft.log().At(index);
    Demand(logs_.Holds(id, entry));
    if (raft.is_leader() && entry.term == raft.term() && IsStamped(entry)) {
      clocks_.Stamped(index, entry.term, scheduler_->now());
    }
  }
}

void Ledgers::OnCommitted(const raft::Entry& entry) {
  disks_.InForce(ConfigurationsFrom(*committing_));
  Demand(disks_.Committed(entry.index, entry.term));
  if (!IsStamped(entry)) return;
  Demand(clocks_.Committed(entry.index, entry.term, entry.time, scheduler_->now()));
}

}  // namespace lockd::sim
