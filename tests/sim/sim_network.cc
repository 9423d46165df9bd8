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
// A connection whose bytes are due later than this was clogged.
constexpr Time kHeldUp = 100 * kMillis;
constexpr size_t kOldFramesKept = 64;

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

// Of a frame, or the torn beginning of one.
bool KeepsItsPlace(const std::string& frame) {
  if (frame.size() <= kOpcodeOffset) return false;
  const auto opcode = static_cast<Opcode>(frame[kOpcodeOffset]);
  return opcode == Opcode::kHello || opcode == Opcode::kReason;
}

}  // namespace

SimNetwork::SimNetwork(Scheduler* scheduler, uint64_t seed, FaultBook* faults)
    : scheduler_(scheduler), random_(seed), faults_(faults) {}

void SimNetwork::AddHost(HostId id, Host* host) {
  LOCKD_CHECK(id.value() == hosts_.size() + 1, "hosts are counted without gaps");
  hosts_.push_back(host);
  up_.push_back(false);
  paths_.assign(hosts_.size() * hosts_.size(), Path{});
}

void SimNetwork::SetUp(HostId id, bool up) {
  up_[id.value() - 1] = up;
  if (up) return;
  std::vector<LinkId> broken;
  for (auto& [link_id, link] : links_) {
    bool is_broken = false;  // a host may have dialled itself
    for (Side& side : link.sides) {
      if (side.host == id) is_broken |= std::exchange(side.hears, false);
    }
    if (is_broken) broken.push_back(link_id);
  }
  for (const LinkId link : broken) Break(link);
}

Time SimNetwork::Delay() {
  // Mostly a quarter of a millisecond, sometimes several.
  Time delay = static_cast<Time>(random_.Between(20, 250)) * kMicros;
  if (random_.Chance(1, 50)) delay += static_cast<Time>(random_.Between(1, 10)) * kMillis;
  return delay;
}

Time SimNetwork::ArrivalOver(HostId from, HostId to, size_t bytes) {
  Path& path = PathOf(from, to);
  Time arrival = std::max(scheduler_->now() + Delay(), path.clogged_until);
  if (path.bytes_per_second != 0) {
    const Time takes =
        static_cast<Time>(bytes * static_cast<uint64_t>(kSeconds) / path.bytes_per_second);
    path.free_at = std::max(path.free_at, scheduler_->now()) + takes;
    arrival = std::max(arrival, path.free_at);
  }
  return arrival;
}

// ---- Dialling

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
    } else if (!IsUp(target) || !found->second.sides[1].hears) {
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
  HostAt(link.sides[1].host)->OnAccepted(id, link.is_peer);
  scheduler_->After(Delay(), [this, id] {
    const auto found = links_.find(id);
    if (found == links_.end() || !found->second.sides[0].hears) return;
    HostAt(found->second.sides[0].host)->OnDialed(id);
  });
}

void SimNetwork::FailDial(LinkId id, bool refused) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  const Side dialer = found->second.sides[0];
  links_.erase(found);
  if (dialer.hears) HostAt(dialer.host)->OnDialFailed(id, refused);
}

// ---- Carrying

void SimNetwork::Send(LinkId id, HostId from, std::string bytes) {
  const auto found = links_.find(id);
  if (found == links_.end() || bytes.empty()) return;
  Link& link = found->second;
  const int to = link.sides[0].host == from ? 1 : 0;
  if (!link.is_peer) {
    SendStream(id, link, to, std::move(bytes));
    return;
  }
  for (std::string& frame : CutFrames(bytes)) {
    if (on_peer_frame) on_peer_frame(from, link.sides[to].host, frame);
    SendFrame(id, link, to, std::move(frame));
  }
}

void SimNetwork::SendRaw(LinkId id, HostId from, std::string bytes) {
  const auto found = links_.find(id);
  if (found == links_.end() || bytes.empty()) return;
  const int to = found->second.sides[0].host == from ? 1 : 0;
  SendStream(id, found->second, to, std::move(bytes));
}

bool SimNetwork::MaybeTear(LinkId id, Link& link, int to, const std::string& bytes) {
  if (!faults_->Strikes(Fault::kResetInFrame)) return false;
  std::string part = bytes.substr(0, random_.Below(bytes.size()));
  Side& side = link.sides[to];
  side.earliest = std::max(side.earliest, scheduler_->now() + Delay());
  scheduler_->At(side.earliest, [this, id, to, part = std::move(part)]() mutable {
    Arrive(id, to, std::move(part));
  });
  Break(id);  // both sides hear of it, behind these bytes
  return true;
}

void SimNetwork::MaybeCorrupt(std::string* bytes) {
  if (!faults_->Strikes(Fault::kBytesCorrupted)) return;
  (*bytes)[random_.Below(bytes->size())] ^= static_cast<char>(1u << random_.Below(8));
}

void SimNetwork::SendStream(LinkId id, Link& link, int to, std::string bytes) {
  if (link.is_dead || MaybeTear(id, link, to, bytes)) return;
  MaybeCorrupt(&bytes);
  Side& side = link.sides[to];
  Time arrival = ArrivalOver(link.sides[1 - to].host, side.host, bytes.size());
  // In a stream all that follows waits behind what is late.
  if (faults_->Strikes(Fault::kDelaySpike)) {
    arrival += static_cast<Time>(random_.Between(1, 500)) * kMillis;
  }
  side.earliest = std::max(side.earliest, arrival);
  scheduler_->At(side.earliest, [this, id, to, bytes = std::move(bytes)]() mutable {
    Arrive(id, to, std::move(bytes));
  });
}

void SimNetwork::SendFrame(LinkId id, Link& link, int to, std::string frame) {
  const HostId from = link.sides[1 - to].host;
  Side& side = link.sides[to];
  if (link.is_dead || MaybeTear(id, link, to, frame)) return;
  Time arrival = std::max(side.earliest, ArrivalOver(from, side.host, frame.size()));
  if (KeepsItsPlace(frame)) {
    side.earliest = arrival;
  } else {
    if (faults_->Strikes(Fault::kFrameLost)) return;
    if (faults_->Strikes(Fault::kFrameReordered)) {
      arrival += static_cast<Time>(random_.Between(1, 10)) * kMillis;
    }
    if (faults_->Strikes(Fault::kDelaySpike)) {
      arrival += static_cast<Time>(random_.Between(10, 500)) * kMillis;
    }
    if (faults_->Strikes(Fault::kFrameDuplicated)) {
      const Time again = arrival + static_cast<Time>(random_.Between(0, 100)) * kMillis;
      scheduler_->At(again, [this, id, to, frame]() mutable { Arrive(id, to, std::move(frame)); });
    }
    Replay(id, from, side.host, to, frame);
    MaybeCorrupt(&frame);
  }
  scheduler_->At(arrival, [this, id, to, frame = std::move(frame)]() mutable {
    Arrive(id, to, std::move(frame));
  });
}

void SimNetwork::Replay(LinkId id, HostId from, HostId to, int side, const std::string& frame) {
  std::vector<std::string>& old = old_frames_[{from, to}];
  if (!old.empty() && faults_->Strikes(Fault::kFrameReplayed)) {
    scheduler_->After(Delay(), [this, id, side, again = old[random_.Below(old.size())]]() mutable {
      Arrive(id, side, std::move(again));
    });
  }
  if (old.size() < kOldFramesKept) {
    old.push_back(frame);
  } else if (random_.Chance(1, 50)) {
    old[random_.Below(old.size())] = frame;  // some stay for long
  }
}

void SimNetwork::ForgetFramesOf(HostId host) {
  std::erase_if(old_frames_, [host](const auto& path) {
    return path.first.first == host || path.first.second == host;
  });
}

void SimNetwork::Arrive(LinkId id, int to, std::string bytes) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  Link& link = found->second;
  Side& side = link.sides[to];
  if (!side.hears || link.is_dead) return;
  if (IsBlocked(link.sides[1 - to].host, side.host) || !side.waiting.empty()) {
    // A stream's bytes wait for the end of the partition; a peer's frame is lost, but for a hello:
    // a link without one is of no use until the node gives it up.
    if (!link.is_peer || KeepsItsPlace(bytes)) side.waiting.push_back(std::move(bytes));
    return;
  }
  HostAt(side.host)->OnBytes(id, std::move(bytes));
}

// ---- Breaking

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
    HostAt(host)->OnLinkClosed(id);
  } else {
    HostAt(host)->OnDialFailed(id, false);
  }
}

std::vector<LinkId> SimNetwork::EstablishedOf(HostId host) const {
  std::vector<LinkId> established;
  for (const auto& [id, link] : links_) {
    const bool is_of = host.is_zero() || link.sides[0].host == host || link.sides[1].host == host;
    if (is_of && link.is_established && !link.is_dead && link.sides[0].hears &&
        link.sides[1].hears) {
      established.push_back(id);
    }
  }
  return established;
}

bool SimNetwork::ResetOne(Random* random) {
  const std::vector<LinkId> established = EstablishedOf(HostId(0));
  if (established.empty()) return false;
  Break(established[random->Below(established.size())]);
  return true;
}

bool SimNetwork::ResetAllOf(HostId host) {
  const std::vector<LinkId> established = EstablishedOf(host);
  for (const LinkId link : established) Break(link);
  return !established.empty();
}

bool SimNetwork::HalfOpenOne(Random* random, Time until) {
  const std::vector<LinkId> established = EstablishedOf(HostId(0));
  if (established.empty()) return false;
  const LinkId id = established[random->Below(established.size())];
  links_.at(id).is_dead = true;
  scheduler_->At(until, [this, id] {
    if (links_.contains(id)) Break(id);
  });
  return true;
}

// ---- Paths

void SimNetwork::BlockBothWays(HostId a, HostId b) {
  Block(a, b);
  Block(b, a);
}

void SimNetwork::Unblock(HostId from, HostId to) {
  Path& path = PathOf(from, to);
  if (!std::exchange(path.blocked, false)) return;
  std::vector<std::pair<LinkId, int>> waiting;
  for (auto& [id, link] : links_) {
    for (int side = 0; side < 2; ++side) {
      if (link.sides[side].host == to && link.sides[1 - side].host == from &&
          !link.sides[side].waiting.empty()) {
        waiting.emplace_back(id, side);
      }
    }
  }
  for (const auto& [id, side] : waiting) {
    // At once: what is already scheduled to arrive later was sent later.
    std::vector<std::string> bytes;
    const auto found = links_.find(id);
    if (found == links_.end()) continue;
    bytes.swap(found->second.sides[side].waiting);
    for (std::string& each : bytes) Arrive(id, side, std::move(each));
  }
}

void SimNetwork::UnblockAll() {
  for (uint64_t from = 1; from <= hosts_.size(); ++from) {
    for (uint64_t to = 1; to <= hosts_.size(); ++to) Unblock(HostId(from), HostId(to));
  }
}

void SimNetwork::Clog(HostId from, HostId to, Time until) {
  Path& path = PathOf(from, to);
  path.clogged_until = std::max(path.clogged_until, until);
}

void SimNetwork::SetBandwidth(HostId from, HostId to, uint64_t bytes_per_second) {
  Path& path = PathOf(from, to);
  path.bytes_per_second = bytes_per_second;
  path.free_at = scheduler_->now();
}

void SimNetwork::Heal() {
  UnblockAll();
  std::vector<LinkId> broken;
  for (auto& [id, link] : links_) {
    bool is_held_up = false;
    for (Side& side : link.sides) {
      if (side.earliest <= scheduler_->now() + kHeldUp) continue;
      is_held_up = true;
      side.earliest = scheduler_->now();
    }
    if (link.is_dead || is_held_up) broken.push_back(id);
  }
  for (const LinkId link : broken) Break(link);
  for (Path& path : paths_) path = Path{};
}

}  // namespace lockd::sim
