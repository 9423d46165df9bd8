// Stranger: a host that is no session's client. It sends garbage to client and peer ports, what a
// client once sent, again and to another node, and wishes of operators.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_STRANGER_H_
#define LOCKD_TESTS_SIM_STRANGER_H_

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <map>
#include <string>

#include "protocol/base/ids.h"
#include "protocol/base/random.h"
#include "protocol/opcode.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_network.h"

namespace lockd::sim {

class Stranger : public Host {
 public:
  Stranger(Scheduler* scheduler, SimNetwork* network, HostId host, uint64_t seed);

  // Random bytes, or a damaged piece of `sample`, to one of a node's ports.
  void SendGarbage(HostId node, const std::string& sample);
  // A whole old connection's requests, from their hello on, to a client port.
  void SendAgain(HostId node, std::string bytes);
  // An operator's wish for another leader; zero: any.
  void AskForTransfer(HostId node, NodeId to);
  // ... for another member, or for one less.
  void AskToAdd(HostId node, NodeId added, const std::string& peer_address);
  void AskToRemove(HostId node, NodeId removed);

  [[nodiscard]] HostId host() const { return host_; }

  void OnDialed(LinkId link) override;
  void OnDialFailed(LinkId link, bool refused) override;
  void OnAccepted(LinkId link, bool is_peer_port) override;
  void OnBytes(LinkId, std::string) override {}
  void OnLinkClosed(LinkId link) override;

 private:
  // What is sent at once, and what follows when the first of it has been answered.
  struct Message {
    std::string first;
    std::string rest;
  };
  void Ask(HostId node, Opcode opcode, const google::protobuf::MessageLite& request);
  void Dial(HostId node, bool peer_port, Message message);

  Scheduler* const scheduler_;
  SimNetwork* const network_;
  const HostId host_;
  Random random_;
  std::map<LinkId, Message> to_send_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_STRANGER_H_
