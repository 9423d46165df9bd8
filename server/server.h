// Server: the composition root. Builds and owns the parts of a lockd process in order of
// dependency: data directory (its lock first), ports, log, node, runner; and takes them apart in
// reverse.
//
// Threading: loop only.
#ifndef LOCKD_SERVER_SERVER_H_
#define LOCKD_SERVER_SERVER_H_

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "consensus/storage/data_directory.h"
#include "consensus/storage/posix_file_system.h"
#include "consensus/storage/start.h"
#include "server/config.h"
#include "server/members_file.h"
#include "server/net/node_runner.h"

namespace lockd {

// Why a process ends, as its exit status (INTERFACE) and one line for people.
struct Exit {
  int status = 0;
  std::string message;
};

class Server {
 public:
  using OnFatal = std::function<void(const Exit&)>;  // does not return

  Server(boost::asio::io_context* io, Config config, OnFatal on_fatal);
  ~Server();

  // Opens, recovers, listens and begins to serve. Nothing, or why it cannot be.
  [[nodiscard]] std::optional<Exit> Start();
  // Orderly; `done` runs on the loop when the process may end.
  void Stop(std::function<void()> done);

 private:
  // Moves the old data directory aside, for --rejoin.
  std::optional<Exit> MakeRoom();
  // The snapshots of later entries.
  void SetAside(raft::Index last_right);
  // How this directory comes to its cluster; kept in it from now on.
  absl::StatusOr<Origin> StartingOrigin(const storage::OpenedLog& opened);
  node::NodeOptions MakeNodeOptions(const storage::OpenedStorage& opened, Origin origin) const;

  boost::asio::io_context* const io_;
  const Config config_;
  const OnFatal on_fatal_;

  storage::PosixFileSystem file_system_;
  std::optional<storage::DataDirectory> directory_;
  std::unique_ptr<net::NodeRunner> runner_;
};

}  // namespace lockd

#endif  // LOCKD_SERVER_SERVER_H_
