#include "tests/sim/sim_network.h"

#include <algorithm>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/frame.h"

namespace lockd::sim {
namespace {

constexpr size_t kOpcodeOffset = 8;
// A dial into a partition gives up by itself after this long, and so does the wait of a broken
// connection's other side.
constexpr Time kDialTimeout = kSeconds;

// Cuts what an encoder made into its frames.
std::vector<std::string> CutFrames(const std::string& bytes) {
  std::vector<std::string> frames;
  for (size_t at = 0; at < bytes.size();) {
    const auto length = LoadLittle<uint32_t>(bytes.data() + at);
    LOCKD_CHECK(length >= kFrameHeaderBytes && length <= bytes.size() - at, "not whole frames");
    frames.push_back(bytes.substr(at, length));
    at += length;
  }
  return frames;
}

bool KeepsItsPlace(const std::string& frame) {
  const auto opcode = static_cast<Opcode>(frame[kOpcodeOffset]);
  return opcode == Opcode::kHello || opcode == Opcode::kReason;
}

}  // namespace

SimNetwork::SimNetwork(Scheduler* scheduler, uint64_t seed, const Swarm& swarm, FaultCounts* faults)
    : scheduler_(scheduler), random_(seed), swarm_(swarm), faults_(faults) {}

void SimNetwork::AddHost(HostId id, Host* host) {
  hosts_.emplace(id, host);
}

void SimNetwork::SetUp(HostId id, bool up) {
  if (up) {
    up_.insert(id);
    return;
  }
  up_.erase(id);
  std::vector<LinkId> broken;
  for (auto& [link_id, link] : links_) {
    for (Side& side : link.sides) {
      if (side.host == id && std::exchange(side.hears, false)) broken.push_back(link_id);
    }
  }
  for (const LinkId link : broken) Break(link);
}

Time SimNetwork::Delay() {
  // Mostly a quarter of a millisecond, sometimes several.
  Time delay = static_cast<Time>(random_.Between(20, 250)) * kMicros;
  if (random_.Chance(1, 50)) delay += static_cast<Time>(random_.Between(1, 10)) * kMillis;
  return delay;
}

// ---- Dialling
// ---------------------------------------------------------------------------------------------------------------

LinkId SimNetwork::Dial(HostId from, HostId to, bool is_peer_port) {
  const LinkId id(next_link_++);
  Link& link = links_[id];
  link.sides[0].host = from;
  link.sides[1].host = to;
  link.is_peer = is_peer_port;
  scheduler_->After(Delay(), [this, id] {
    const auto found = links_.find(id);
    if (found == links_.end()) return;
    if (!found->second.sides[0].hears) {  // the dialer gave up or died
      links_.erase(found);
      return;
    }
    const HostId dialer = found->second.sides[0].host;
    const HostId target = found->second.sides[1].host;
    if (IsBlocked(dialer, target) || IsBlocked(target, dialer)) {
      scheduler_->After(kDialTimeout, [this, id] { FailDial(id, false); });
    } else if (!up_.contains(target) || !found->second.sides[1].hears) {
      scheduler_->After(Delay(), [this, id] { FailDial(id, true); });
    } else {
      Establish(id);
    }
  });
  return id;
}

void SimNetwork::Establish(LinkId id) {
  Link& link = links_.at(id);
  link.is_established = true;
  hosts_.at(link.sides[1].host)->OnAccepted(id, link.is_peer);
  scheduler_->After(Delay(), [this, id] {
    const auto found = links_.find(id);
    if (found == links_.end() || !found->second.sides[0].hears) return;
    hosts_.at(found->second.sides[0].host)->OnDialed(id);
  });
}

void SimNetwork::FailDial(LinkId id, bool refused) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  const Side dialer = found->second.sides[0];
  links_.erase(found);
  if (dialer.hears) hosts_.at(dialer.host)->OnDialFailed(id, refused);
}

// ---- Carrying
// ---------------------------------------------------------------------------------------------------------------

void SimNetwork::Send(LinkId id, HostId from, std::string bytes) {
  const auto found = links_.find(id);
  if (found == links_.end() || bytes.empty()) return;
  Link& link = found->second;
  const int to = link.sides[0].host == from ? 1 : 0;
  if (!link.is_peer) {
    SendStream(id, link, to, std::move(bytes));
    return;
  }
  for (std::string& frame : CutFrames(bytes)) SendFrame(id, link, to, std::move(frame));
}

void SimNetwork::SendStream(LinkId id, Link& link, int to, std::string bytes) {
  Side& side = link.sides[to];
  side.earliest = std::max(side.earliest, scheduler_->now() + Delay());
  scheduler_->At(side.earliest, [this, id, to, bytes = std::move(bytes)]() mutable {
    Arrive(id, to, std::move(bytes));
  });
}

void SimNetwork::SendFrame(LinkId id, Link& link, int to, std::string frame) {
  Side& side = link.sides[to];
  Time arrival = std::max(side.earliest, scheduler_->now() + Delay());
  if (KeepsItsPlace(frame)) {
    side.earliest = arrival;
  } else {
    if (random_.Chance(swarm_.frame_lost, 10'000)) {
      ++(*faults_)[static_cast<size_t>(Fault::kFrameLost)];
      return;
    }
    if (random_.Chance(swarm_.frame_delayed, 10'000)) {
      ++(*faults_)[static_cast<size_t>(Fault::kFrameDelayed)];
      arrival += static_cast<Time>(random_.Between(1, 500)) * kMillis;
    }
    if (random_.Chance(swarm_.frame_duplicated, 10'000)) {
      ++(*faults_)[static_cast<size_t>(Fault::kFrameDuplicated)];
      const Time again = arrival + static_cast<Time>(random_.Between(0, 100)) * kMillis;
      scheduler_->At(again, [this, id, to, frame]() mutable { Arrive(id, to, std::move(frame)); });
    }
  }
  scheduler_->At(arrival, [this, id, to, frame = std::move(frame)]() mutable {
    Arrive(id, to, std::move(frame));
  });
}

void SimNetwork::Arrive(LinkId id, int to, std::string bytes) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  Link& link = found->second;
  Side& side = link.sides[to];
  if (!side.hears) return;
  if (IsBlocked(link.sides[1 - to].host, side.host) || !side.waiting.empty()) {
    // A stream's bytes wait for the end of the partition; a peer's frame is lost.
    if (!link.is_peer) side.waiting.push_back(std::move(bytes));
    return;
  }
  hosts_.at(side.host)->OnBytes(id, std::move(bytes));
}

// ---- Breaking
// ---------------------------------------------------------------------------------------------------------------

void SimNetwork::Close(LinkId id, HostId from) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  const int side = found->second.sides[0].host == from ? 0 : 1;
  found->second.sides[side].hears = false;
  Break(id);
}

void SimNetwork::Break(LinkId id) {
  Link& link = links_.at(id);
  bool anybody_hears = false;
  for (int side = 0; side < 2; ++side) {
    if (!link.sides[side].hears) continue;
    anybody_hears = true;
    // Behind what is on its way: a reason frame arrives before the end of the stream.
    Side& listener = link.sides[side];
    listener.earliest = std::max(listener.earliest, scheduler_->now() + Delay());
    scheduler_->At(listener.earliest, [this, id, side] { TellClosed(id, side); });
  }
  if (!anybody_hears) links_.erase(id);
}

void SimNetwork::TellClosed(LinkId id, int side) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  Side& listener = found->second.sides[side];
  if (!listener.hears) return;
  const HostId other = found->second.sides[1 - side].host;
  if (IsBlocked(other, listener.host)) {
    // Nobody tells a host behind a partition that its connection is gone, until the partition ends.
    scheduler_->After(kDialTimeout, [this, id, side] { TellClosed(id, side); });
    return;
  }
  const bool was_established = found->second.is_established;
  const HostId host = listener.host;
  listener.hears = false;
  if (!found->second.sides[1 - side].hears) links_.erase(found);
  if (was_established) {
    hosts_.at(host)->OnLinkClosed(id);
  } else {
    hosts_.at(host)->OnDialFailed(id, false);
  }
}

void SimNetwork::Heal() {
  blocked_.clear();
  std::vector<std::pair<LinkId, int>> waiting;
  for (auto& [id, link] : links_) {
    for (int side = 0; side < 2; ++side) {
      if (!link.sides[side].waiting.empty()) waiting.emplace_back(id, side);
    }
  }
  for (const auto& [id, to] : waiting) {
    // At once: what is already scheduled to arrive later was sent later.
    std::vector<std::string> bytes;
    const auto found = links_.find(id);
    if (found == links_.end()) continue;
    bytes.swap(found->second.sides[to].waiting);
    for (std::string& each : bytes) Arrive(id, to, std::move(each));
  }
}

void SimNetwork::ResetOne() {
  std::vector<LinkId> established;
  for (const auto& [id, link] : links_) {
    if (link.is_established && link.sides[0].hears && link.sides[1].hears)
      established.push_back(id);
  }
  if (established.empty()) return;
  ++(*faults_)[static_cast<size_t>(Fault::kConnectionReset)];
  Break(established[random_.Below(established.size())]);
}

void SimNetwork::StopFaults() {
  swarm_.frame_lost = swarm_.frame_duplicated = swarm_.frame_delayed = 0;
  Heal();
}

}  // namespace lockd::sim
