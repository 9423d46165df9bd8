// LoopbackNode: one real node, with its disk in memory, behind a socket on an ephemeral port of
// this machine. For tests of the client's rim; the rim of the server has its own.
//
//   LoopbackNode node;
//   lockd::BlockingClient client({.endpoints = {node.address()}});
//
// Threading: any; it runs in a thread of its own.
#ifndef LOCKD_TESTS_CLIENT_LOOPBACK_NODE_H_
#define LOCKD_TESTS_CLIENT_LOOPBACK_NODE_H_

#include <memory>
#include <string>

namespace lockd {

class LoopbackNode {
 public:
  LoopbackNode();
  ~LoopbackNode();

  [[nodiscard]] const std::string& address() const { return address_; }
  // From here on it reads and answers nothing; connections stay open.
  void Freeze();
  // Breaks all connections; new ones are accepted.
  void DropConnections();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string address_;
};

}  // namespace lockd

#endif  // LOCKD_TESTS_CLIENT_LOOPBACK_NODE_H_
