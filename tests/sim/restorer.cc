#include "tests/sim/restorer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/state/refounding.h"

namespace lockd::sim {
namespace {

constexpr uint64_t kApart = 0x6261636b75707361ULL;
// Two restores of one backup are farther apart than their clocks differ.
constexpr int64_t kWallErrorMaxMs = 100;

}  // namespace

Restorer::Restorer(World world, const Swarm& swarm, HostId host, uint64_t run_seed,
                   std::function<void(const std::string&)> trace)
    : world_(std::move(world)),
      swarm_(swarm),
      random_(run_seed ^ kApart),
      trace_(std::move(trace)),
      operator_(world_.scheduler, world_.network,
                {.host = host,
                 .seed = random_.Next(),
                 .nodes = world_.nodes->size(),
                 .era = world_.era,
                 .applied = [this] { return Applied(); },
                 .on_saved = [this](Backup backup) { OnSaved(std::move(backup)); },
                 .trace = trace_}) {}

// ---- Backups

raft::Index Restorer::Applied() const {
  raft::Index applied;
  for (const auto& node : *world_.nodes) {
    if (node->is_up()) applied = std::max(applied, node->node().raft().applied_index());
  }
  return applied;
}

void Restorer::OnSaved(Backup backup) {
  world_.check_backup(backup);
  world_.faults->Happened(Fault::kBackupSaved);
  backups_.push_back(std::move(backup));
  is_due_ |= std::exchange(loss_follows_, false);
}

// What is held right after a backup is in it.
void Restorer::AskForLoss() {
  if (random_.Chance(1, 2)) {
    loss_follows_ = true;
    operator_.Save();
  } else {
    is_due_ = !backups_.empty();
  }
}

// The newest one, or whichever is at hand.
const Backup& Restorer::Choose() {
  if (random_.Chance(2, 3)) return backups_.back();
  return backups_[random_.Below(backups_.size())];
}

// ---- The loss

Backup Restorer::LoseCluster() {
  const Backup& backup = Choose();
  if (trace_) {
    trace_(absl::StrCat("the cluster is lost, and restored from the backup of entry ",
                        backup.base.index, " of era ", backup.era));
  }
  world_.faults->Happened(Fault::kClusterRestored);
  loss_follows_ = false;
  for (const auto& node : *world_.nodes) {
    nodes_lost_ += node->is_lost() ? 1 : 0;
    node->Retire();
    world_.network->ForgetFramesOf(node->host());
  }
  world_.network->Heal();
  CutOffClients();
  return backup;
}

void Restorer::CutOffClients() {
  SimNetwork& network = *world_.network;
  for (const auto& client : *world_.clients) {
    if (!random_.Chance(1, 2)) continue;
    for (const auto& node : *world_.nodes) network.BlockBothWays(client->host(), node->host());
    const Time time = Draw((2 * swarm_.ttl_ms + 2'000) * kMillis);
    world_.scheduler->After(time, [this, &network, host = client->host()] {
      for (const auto& node : *world_.nodes) {
        network.Unblock(host, node->host());
        network.Unblock(node->host(), host);
      }
    });
  }
}

// Mostly so short that old owners have not noticed.
Time Restorer::DrawDowntime() {
  return Draw(random_.Chance(2, 3) ? 100 * kMillis : 3 * swarm_.ttl_ms * kMillis);
}

SimNode::Restored Restorer::Replace(SimNode& node, const Backup& backup) {
  return node.Restore(backup.file, Draw(2 * kWallErrorMaxMs) - kWallErrorMaxMs);
}

bool Restorer::MustAwaitClock(uint64_t last) const {
  const WallTime slowest(kWallStartMs + world_.scheduler->now() / kMillis - kWallErrorMaxMs);
  return !state::NumbersFrom(last, slowest).has_value();
}

}  // namespace lockd::sim
