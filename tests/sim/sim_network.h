// SimNetwork: connections between hosts, with everything that a network does to them.
//
// A connection is dialled, established, carries bytes both ways, and breaks. Two kinds:
//   stream  (clients)  bytes arrive in order or the connection breaks, as TCP does. Across a
//   partition they wait. frames  (peers)    each frame on its own may be lost, duplicated, delayed
//   and overtaken, which is more than TCP does to a
//                      connection: Raft must bear it. Only the hellos keep their place, so that a
//                      link can begin at all.
// Bytes are whole encoded frames from the shipping encoders; the receiver feeds them to the
// shipping decoder.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_SIM_NETWORK_H_
#define LOCKD_TESTS_SIM_SIM_NETWORK_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/random.h"
#include "protocol/base/strong_int.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/swarm.h"

namespace lockd::sim {

// A node or client process, over all its lives.
using HostId = StrongInt<struct HostIdTag>;
using LinkId = StrongInt<struct SimLinkIdTag>;

// What a host hears of its connections.
class Host {
 public:
  virtual ~Host() = default;
  virtual void OnDialed(LinkId link) = 0;  // the dialling side: established
  virtual void OnDialFailed(LinkId link,
                            bool refused) = 0;  // refused: the host answered that nobody listens
  virtual void OnAccepted(LinkId link, bool is_peer_port) = 0;
  virtual void OnBytes(LinkId link, std::string bytes) = 0;
  virtual void OnLinkClosed(LinkId link) = 0;
};

class SimNetwork {
 public:
  SimNetwork(Scheduler* scheduler, uint64_t seed, const Swarm& swarm, FaultCounts* faults);

  void AddHost(HostId id, Host* host);
  // A process that has died: its connections break, and nobody answers at its addresses.
  void SetUp(HostId id, bool up);

  // The link id is known at once; OnDialed or OnDialFailed follows.
  LinkId Dial(HostId from, HostId to, bool is_peer_port);
  void Send(LinkId link, HostId from, std::string bytes);
  // The other side hears of it; the closer hears nothing more of this link.
  void Close(LinkId link, HostId from);

  // -- faults --
  void Block(HostId from, HostId to) { blocked_.insert({from, to}); }
  // Ends all partitions: what waited in streams arrives.
  void Heal();
  // Breaks one established connection, if there is one.
  void ResetOne();
  void StopFaults();  // from here on a clean network

 private:
  struct Side {
    HostId host;
    bool hears = true;  // false: this side has closed, or is dead
    Time earliest = 0;  // no byte to this side arrives before: keeps streams in order
    std::vector<std::string> waiting;  // stream bytes that met a partition
  };
  struct Link {
    Side sides[2];  // 0 dialled, 1 accepted
    bool is_peer = false;
    bool is_established = false;
    // The first frame each way is a hello; nothing overtakes it.
  };

  [[nodiscard]] bool IsBlocked(HostId from, HostId to) const {
    return blocked_.contains({from, to});
  }
  Time Delay();
  void Establish(LinkId id);
  void FailDial(LinkId id, bool refused);
  void SendStream(LinkId id, Link& link, int to, std::string bytes);
  void SendFrame(LinkId id, Link& link, int to, std::string bytes);
  void Arrive(LinkId id, int to, std::string bytes);
  void Break(LinkId id);
  void TellClosed(LinkId id, int side);

  Scheduler* const scheduler_;
  Random random_;
  Swarm swarm_;
  FaultCounts* const faults_;

  std::map<HostId, Host*> hosts_;
  std::set<HostId> up_;
  std::set<std::pair<HostId, HostId>> blocked_;
  uint64_t next_link_ = 1;
  std::map<LinkId, Link> links_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SIM_NETWORK_H_
