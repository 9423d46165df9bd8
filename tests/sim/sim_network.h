// SimNetwork: connections between hosts, with everything that a network does to them.
//
// A connection is dialled, established, carries bytes both ways, and breaks. Two kinds:
//
//   stream  (clients)  bytes arrive in order or the connection breaks, as TCP does. Across a
//                      partition they wait.
//   frames  (peers)    each frame on its own may be lost, duplicated, delayed, overtaken and come
//                      again later, which is more than TCP does to a connection: Raft must bear
//                      it. Only the hellos keep their place, and outlast a partition, so that a
//                      link can begin at all.
//
// On both, bits flip and connections break in the middle of a frame. Bytes are what the shipping
// encoders made; the receiver feeds them to the shipping decoder.
//
// Between each two hosts, each way, there is a path: blocked, clogged or slow for a while.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_SIM_NETWORK_H_
#define LOCKD_TESTS_SIM_SIM_NETWORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "protocol/base/random.h"
#include "protocol/base/strong_int.h"
#include "tests/sim/fault_book.h"
#include "tests/sim/scheduler.h"

namespace lockd::sim {

// A node, client or stranger process, over all its lives; counted from 1 without gaps.
using HostId = StrongInt<struct HostIdTag>;
using LinkId = StrongInt<struct SimLinkIdTag>;

// What a host hears of its connections.
class Host {
 public:
  virtual ~Host() = default;
  virtual void OnDialed(LinkId link) = 0;  // the dialling side: established
  // `refused`: the host answered that nobody listens.
  virtual void OnDialFailed(LinkId link, bool refused) = 0;
  virtual void OnAccepted(LinkId link, bool is_peer_port) = 0;
  virtual void OnBytes(LinkId link, std::string bytes) = 0;
  virtual void OnLinkClosed(LinkId link) = 0;
};

class SimNetwork {
 public:
  SimNetwork(Scheduler* scheduler, uint64_t seed, FaultBook* faults);

  void AddHost(HostId id, Host* host);
  // A process that has died: its connections break, and nobody answers at its addresses.
  void SetUp(HostId id, bool up);

  // The link id is known at once; OnDialed or OnDialFailed follows.
  LinkId Dial(HostId from, HostId to, bool is_peer_port);
  void Send(LinkId link, HostId from, std::string bytes);
  // The same for what need not be frames; arrives as it is.
  void SendRaw(LinkId link, HostId from, std::string bytes);
  // The other side hears of it; the closer hears nothing more of this link.
  void Close(LinkId link, HostId from);

  // Hears of every whole frame that a node sends to a peer, as it is sent.
  std::function<void(HostId from, HostId to, absl::string_view frame)> on_peer_frame;

  // Frames from and to this host do not come again.
  void ForgetFramesOf(HostId host);

  // -- faults --
  void Block(HostId from, HostId to) { PathOf(from, to).blocked = true; }
  void BlockBothWays(HostId a, HostId b);
  // Ends blocks: what waited in streams arrives.
  void Unblock(HostId from, HostId to);
  void UnblockAll();
  // Nothing on this path arrives before then; nothing is lost.
  void Clog(HostId from, HostId to, Time until);
  // So many bytes a second; 0: no limit.
  void SetBandwidth(HostId from, HostId to, uint64_t bytes_per_second);
  // Breaks one established connection, or all of a host; false: there is none.
  bool ResetOne(Random* random);
  bool ResetAllOf(HostId host);
  // One established connection carries nothing from now on; after `until` both sides hear that it
  // is gone. False: there is none.
  bool HalfOpenOne(Random* random, Time until);
  // All paths as new. What a clog would still hold up is lost with its connection.
  void Heal();

 private:
  struct Path {
    bool blocked = false;
    Time clogged_until = 0;
    uint64_t bytes_per_second = 0;
    Time free_at = 0;  // of the bandwidth
  };
  struct Side {
    HostId host;
    bool hears = true;  // false: this side has closed, or is dead
    Time earliest = 0;  // no byte to this side arrives before: keeps streams in order
    std::vector<std::string> waiting;  // stream bytes that met a block
  };
  struct Link {
    Side sides[2];  // 0 dialled, 1 accepted
    bool is_peer = false;
    bool is_established = false;
    bool is_dead = false;  // half open
  };

  [[nodiscard]] Path& PathOf(HostId from, HostId to) {
    return paths_[(from.value() - 1) * hosts_.size() + (to.value() - 1)];
  }
  [[nodiscard]] bool IsBlocked(HostId from, HostId to) { return PathOf(from, to).blocked; }
  [[nodiscard]] Host* HostAt(HostId id) { return hosts_[id.value() - 1]; }
  [[nodiscard]] bool IsUp(HostId id) const { return up_[id.value() - 1]; }
  Time Delay();
  // When bytes sent now over this path arrive at the earliest.
  Time ArrivalOver(HostId from, HostId to, size_t bytes);
  void Establish(LinkId id);
  void FailDial(LinkId id, bool refused);
  void SendStream(LinkId id, Link& link, int to, std::string bytes);
  void SendFrame(LinkId id, Link& link, int to, std::string frame);
  void Replay(LinkId id, HostId from, HostId to, int side, const std::string& frame);
  // True: the connection broke in the middle of these bytes.
  bool MaybeTear(LinkId id, Link& link, int to, const std::string& bytes);
  void MaybeCorrupt(std::string* bytes);
  void Arrive(LinkId id, int to, std::string bytes);
  void Break(LinkId id);
  void TellClosed(LinkId id, int side);
  // Zero: of any host.
  std::vector<LinkId> EstablishedOf(HostId host) const;

  Scheduler* const scheduler_;
  Random random_;
  FaultBook* const faults_;

  std::vector<Host*> hosts_;
  std::vector<bool> up_;
  std::vector<Path> paths_;
  uint64_t next_link_ = 1;
  std::map<LinkId, Link> links_;
  // Peer frames of the past, by path, to come again.
  std::map<std::pair<HostId, HostId>, std::vector<std::string>> old_frames_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SIM_NETWORK_H_
