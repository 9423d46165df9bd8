#include "tests/support/raft_env/raft_env.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "consensus/raft/describe.h"
#include "tests/support/datadriven/arguments.h"
#include "tests/support/raft_env/verb.h"

namespace lockd::raft_env {
namespace {

using raft::Describe;

// More rounds than any sensible script needs: the members talk in circles.
constexpr int kStabilizeRoundsMax = 1000;

std::string NameOf(const raft::LogBase& snapshot) {
  return absl::StrCat("(", snapshot.term, ",", snapshot.index, ")");
}

}  // namespace

absl::StatusOr<std::string> RaftEnv::Run(const datadriven::Command& command) {
  const Verb* verb = FindVerb(command.verb);
  if (verb == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "unknown verb `", command.verb,
        "`, one of: ", absl::StrJoin(AllVerbs(), ", ", [](std::string* out, const Verb* known) {
          absl::StrAppend(out, known->name);
        })));
  }
  datadriven::Arguments args(command);
  detail_ = default_detail_;
  if (args.Flag("quiet")) detail_ = Detail::kQuiet;
  if (args.Flag("brief")) detail_ = Detail::kBrief;
  if (args.Flag("full")) detail_ = Detail::kFull;
  output_.clear();
  prefix_.clear();
  const absl::Status status = verb->run(*this, args);
  if (safety_.violation()) {
    return absl::InternalError(absl::StrCat(*safety_.violation(), "; up to then:\n", output_));
  }
  if (!status.ok()) return status;
  if (output_.empty()) return "ok\n";
  return std::exchange(output_, "");
}

void RaftEnv::AddMember(const raft::Options& options) {
  const auto [member, is_new] = members_.try_emplace(options.id);
  member->second.options = options;
  Restart(options.id);
}

void RaftEnv::Preload(NodeId id, Disk disk) {
  for (const raft::Entry& entry : disk.entries) safety_.Preloaded(entry);
  Crash(id, 0, 0);
  member(id).disk = std::move(disk);
  Restart(id);
}

std::vector<NodeId> RaftEnv::ids() const {
  std::vector<NodeId> ids;
  for (const auto& [id, member] : members_) ids.push_back(id);
  return ids;
}

void RaftEnv::Crash(NodeId id, uint64_t writes_kept, uint64_t entries_kept) {
  Member& crashed = member(id);
  for (; writes_kept > 0 && !crashed.writes.empty(); --writes_kept) {
    crashed.disk.Write(crashed.writes.front());
    safety_.WriteDone(id, crashed.writes.front());
    crashed.writes.pop_front();
  }
  if (entries_kept > 0 && !crashed.writes.empty()) {
    raft::WriteRequest torn = crashed.writes.front();
    torn.entries.resize(std::min<size_t>(torn.entries.size(), entries_kept));
    crashed.disk.Write(torn);
    safety_.WriteDone(id, torn);
  }
  crashed.raft = nullptr;
  crashed.writes.clear();
  crashed.reads.clear();
  crashed.to_apply.clear();
  crashed.receiving.reset();
}

void RaftEnv::Restart(NodeId id) {
  Member& started = member(id);
  started.disk.Start();
  raft::Options options = started.options;
  options.configuration = safety_.ConfigurationAt(started.disk.base.index, options.configuration);
  started.raft =
      std::make_unique<raft::Raft>(options, started.disk.Recover(options.tail_bytes_max));
  started.applied = started.raft->applied_index();
  seen_[id] = Look(id);
  safety_.Observe(id, started);
}

void RaftEnv::Tick(NodeId id, uint64_t count) {
  member(id).raft->Tick(count);
  Observe(id);
}

void RaftEnv::Campaign(NodeId id) {
  member(id).raft->Campaign();
  Observe(id);
}

void RaftEnv::SuspectLeader(NodeId id) {
  member(id).raft->SuspectLeader();
  Observe(id);
}

void RaftEnv::RequestRead(NodeId id, uint64_t context) {
  safety_.ReadAsked(id, context);
  member(id).raft->RequestRead(context);
  Observe(id);
}

void RaftEnv::TakeReady(NodeId id, raft::TakeWrite take_write, bool show_sent) {
  Member& taken = member(id);
  raft::Ready ready = taken.raft->TakeReady(take_write);
  if (ready.write) {
    safety_.WriteStarted(id, taken, *ready.write);
    Trace(id, " writes ", DescribeWrite(*ready.write));
    taken.writes.push_back(*std::move(ready.write));
  }
  for (const raft::Message& message : ready.messages) Send(message, show_sent);
  for (const raft::ReadRequest& read : ready.reads) {
    Trace(id, " reads ", read.first, "..", read.last, " from disk");
    taken.reads.push_back({read, std::nullopt});
  }
  for (raft::Entry& entry : ready.committed) {
    safety_.Committed(id, taken, entry, members_);
    taken.to_apply.push_back(std::move(entry));
  }
  for (const raft::ReleasedRead& read : ready.released_reads) {
    safety_.ReadAnswered(id, read);
    if (read.confirmed) {
      Note(id, " answers read ", read.context, " at ", read.index);
    } else {
      Note(id, " cannot answer read ", read.context);
    }
  }
  for (const raft::ReceivedChunk& received : ready.snapshot_chunks) OnChunk(id, received);
  Observe(id);
  while (!taken.apply_stalled && !taken.to_apply.empty()) ApplyOne(id);
}

void RaftEnv::CompleteWrite(NodeId id) {
  Member& written = member(id);
  const raft::WriteRequest write = std::move(written.writes.front());
  written.writes.pop_front();
  for (WaitingRead& read : written.reads) {
    // It was asked for first, so it still finds what the base makes the disk forget.
    if (write.base && !read.found) read.found = written.disk.Read(read.request);
  }
  written.disk.Write(write);
  safety_.WriteDone(id, write);
  for (const raft::Message& message : write.messages_once_durable) Send(message, false);
  written.raft->WriteCompleted(write.id);
  Observe(id);
}

void RaftEnv::CompleteRead(NodeId id) {
  Member& reader = member(id);
  WaitingRead read = std::move(reader.reads.front());
  reader.reads.pop_front();
  std::vector<raft::Entry> entries =
      read.found ? *std::move(read.found) : reader.disk.Read(read.request);
  Trace(id, " has read ", entries.front().index, "..", entries.back().index, " from disk");
  reader.raft->ReadCompleted(read.request.id, std::move(entries));
  Observe(id);
}

void RaftEnv::ApplyOne(NodeId id) {
  Member& applying = member(id);
  applying.applied = applying.to_apply.front().index;
  Trace(id, " applies ", Describe(applying.to_apply.front()));
  applying.to_apply.pop_front();
  applying.raft->Applied(applying.applied);
  Observe(id);
}

// -- snapshots --

raft::LogBase RaftEnv::BaseAt(NodeId id, raft::Index index) {
  const raft::RaftLog& log = member(id).raft->log();
  if (index == log.base_index()) return log.base();
  if (log.InMemory(index)) return {index, log.At(index).term, log.At(index).time};
  const raft::Entry& entry = *member(id).disk.At(index);
  return {index, entry.term, entry.time};
}

void RaftEnv::TakeSnapshot(NodeId id) {
  Member& owner = member(id);
  owner.disk.snapshot = BaseAt(id, owner.applied);
  Note(id, " has snapshot ", NameOf(*owner.disk.snapshot));
}

void RaftEnv::Compact(NodeId id, raft::Index index) {
  const raft::LogBase base = BaseAt(id, index);
  safety_.Covered(id, base);
  member(id).raft->Compact(base);
  Observe(id);
}

void RaftEnv::SendChunk(Link link, uint64_t offset, uint64_t bytes) {
  Member& sender = member(link.from);
  const raft::LogBase base = *sender.disk.snapshot;
  const auto checksum = static_cast<uint32_t>(base.index.value());
  sender.raft->SendSnapshotChunk(link.to, {.snapshot = {base, kSnapshotBytes, checksum},
                                           .offset = offset,
                                           .bytes = std::string(bytes, 's')});
  Observe(link.from);
}

void RaftEnv::OnChunk(NodeId id, const raft::ReceivedChunk& received) {
  Member& receiver = member(id);
  const raft::SnapshotChunk& chunk = received.chunk;
  raft::SnapshotChunkReply reply{chunk.snapshot, 0, false};
  if (chunk.snapshot.base.index <= receiver.raft->commit_index()) {
    reply.next_offset = chunk.snapshot.bytes;
    reply.installed = true;
  } else {
    if (receiver.receiving != chunk.snapshot) {
      receiver.receiving = chunk.snapshot;
      receiver.received_bytes = 0;
    }
    if (chunk.offset == receiver.received_bytes) receiver.received_bytes += chunk.bytes.size();
    reply.next_offset = receiver.received_bytes;
    Trace(id, " has ", receiver.received_bytes, " bytes of snapshot ", NameOf(chunk.snapshot.base));
  }
  receiver.raft->ReplySnapshotChunk(received.from, std::move(reply));
}

void RaftEnv::RestoreSnapshot(NodeId id) {
  Member& receiver = member(id);
  const raft::SnapshotId snapshot = *std::exchange(receiver.receiving, std::nullopt);
  safety_.Covered(id, snapshot.base);
  receiver.disk.snapshot = snapshot.base;
  if (receiver.raft->RestoreSnapshot(
          snapshot.base,
          safety_.ConfigurationAt(snapshot.base.index, receiver.options.configuration))) {
    receiver.applied = snapshot.base.index;
    receiver.to_apply.clear();
    Note("* ", id, " restores snapshot ", NameOf(snapshot.base));
  } else {
    Note("* ", id, " has no use for snapshot ", NameOf(snapshot.base));
  }
  if (receiver.raft->commit_index() >= snapshot.base.index) {
    receiver.raft->ReplySnapshotChunk(receiver.raft->leader_id(), {snapshot, snapshot.bytes, true});
  }
  Observe(id);
}

void RaftEnv::Send(const raft::Message& message, bool show) {
  safety_.Sent(member(message.from), message);
  if (network_.IsCut({message.from, message.to})) {
    Trace("lost: ", Describe(message));
    return;
  }
  if (show) Trace("sent: ", Describe(message));
  network_.Send(message);
}

void RaftEnv::Deliver(const raft::Message& message) {
  const auto receiver = members_.find(message.to);
  const bool arrives = receiver != members_.end() && receiver->second.up() &&
                       !network_.IsCut({message.from, message.to});
  if (!arrives) {
    Trace("lost: ", Describe(message));
    return;
  }
  Trace(Describe(message));
  receiver->second.raft->Step(message);
  Observe(message.to);
}

void RaftEnv::Inject(const raft::Message& message) {
  safety_.Injected(message);
  Deliver(message);
}

bool RaftEnv::Settle(NodeId id) {
  Member& settled = member(id);
  if (!settled.up()) return false;
  bool did_something = false;
  if (settled.raft->HasReady()) {
    TakeReady(id, raft::TakeWrite::kYes, false);
    did_something = true;
  }
  while (!settled.disk_stalled && !settled.writes.empty()) {
    CompleteWrite(id);
    did_something = true;
  }
  while (!settled.disk_stalled && !settled.reads.empty()) {
    CompleteRead(id);
    did_something = true;
  }
  return did_something;
}

bool RaftEnv::DeliverAll(const std::vector<NodeId>& receivers, bool votes_only) {
  std::vector<size_t> positions;
  for (size_t i = 0; i < network_.in_flight().size(); ++i) {
    const raft::Message& message = network_.in_flight()[i];
    const bool is_receiver = std::count(receivers.begin(), receivers.end(), message.to) != 0;
    const bool is_vote = std::holds_alternative<raft::VoteRequest>(message.body) ||
                         std::holds_alternative<raft::VoteReply>(message.body);
    if (is_receiver && (is_vote || !votes_only)) positions.push_back(i);
  }
  for (const raft::Message& message : network_.Take(positions)) Deliver(message);
  return !positions.empty();
}

absl::Status RaftEnv::Stabilize(const std::vector<NodeId>& stabilized, bool votes_only) {
  for (int round = 0; round < kStabilizeRoundsMax; ++round) {
    bool did_something = false;
    for (const NodeId id : stabilized) did_something |= Settle(id);
    did_something |= DeliverAll(stabilized, votes_only);
    if (!did_something) return absl::OkStatus();
    if (safety_.violation()) return absl::OkStatus();  // Run reports it
  }
  return absl::FailedPreconditionError(
      absl::StrCat("no rest after ", kStabilizeRoundsMax, " rounds"));
}

RaftEnv::Seen RaftEnv::Look(NodeId id) const {
  const raft::Raft& raft = *members_.at(id).raft;
  return {raft.role(), raft.term(), raft.leader_id(), raft.commit_index()};
}

void RaftEnv::Observe(NodeId id) {
  safety_.Observe(id, member(id));
  const Seen before = std::exchange(seen_[id], Look(id));
  const Seen& now = seen_[id];
  if (now.role != before.role || now.term != before.term || now.leader != before.leader) {
    NoteRole(id, now);
  }
  if (now.commit != before.commit) Note("* ", id, " commits ", now.commit);
}

void RaftEnv::NoteRole(NodeId id, const Seen& now) {
  switch (now.role) {
    case raft::Role::kLeader:
      Note("* ", id, " leads in term ", now.term);
      break;
    case raft::Role::kCandidate:
      Note("* ", id, " is a candidate in term ", now.term);
      break;
    case raft::Role::kPreCandidate:
      Note("* ", id, " is a pre-candidate, still in term ", now.term);
      break;
    case raft::Role::kFollower:
      Note("* ", id, " follows ",
           now.leader.is_zero() ? std::string("nobody") : absl::StrCat(now.leader), " in term ",
           now.term);
      break;
  }
}

void RaftEnv::Show(Detail detail, absl::string_view line) {
  if (detail > detail_) return;
  absl::StrAppend(&output_, prefix_, line, "\n");
}

}  // namespace lockd::raft_env
