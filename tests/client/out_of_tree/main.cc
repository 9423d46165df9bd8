// Locks and unlocks with an installed lockd, through the blocking and the asynchronous face.
//
//   out_of_tree host:port
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <string>
#include <utility>

#include "client/blocking_client.h"
#include "client/client.h"
#include "client/fence_gate.h"
#include "client/lockable.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  lockd::ClientOptions options;
  options.endpoints = {argv[1]};
  lockd::BlockingClient client(options);
  auto session = client.OpenSession();
  if (!session.ok()) {
    std::fprintf(stderr, "%s\n", session.status().ToString().c_str());
    return 1;
  }
  lockd::AcquireResult result = session->Acquire("from-outside");
  lockd::FenceGate gate;
  if (!result.granted() || !gate.Admit(result.lock.token())) return 1;
  session->Release(std::move(result.lock));

  boost::asio::io_context context;
  lockd::Client asynchronous(context, options);
  std::string status;
  asynchronous.GetLock("from-outside", {}, [&status](absl::StatusOr<lockd::LockRecord> record) {
    status = record.ok() ? "free again" : record.status().ToString();
  });
  context.run();
  std::printf("%s\n", status.c_str());
  return status == "free again" ? 0 : 1;
}
