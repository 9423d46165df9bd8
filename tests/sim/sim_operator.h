// SimOperator: saves backups of the cluster, as `lockctl snapshot save` does.
//
//   operator                    any node
//     ├── take a snapshot ───────►│   every other time of no less than what is applied anywhere
//     │◄──────── which one ───────┤
//     ├── read from offset 0 ────►│
//     │◄──────── a piece ─────────┤   into a BackupFile, which is verified at the end
//     :                           :
//
// A connection that breaks while it reads is dialled again, and it goes on where it was. A node
// that does not answer, has lost the snapshot or cannot read it is left for another one, some times
// over.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_SIM_OPERATOR_H_
#define LOCKD_TESTS_SIM_SIM_OPERATOR_H_

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "consensus/raft/types.h"
#include "protocol/base/random.h"
#include "protocol/frame_decoder.h"
#include "protocol/lock.pb.h"
#include "protocol/opcode.h"
#include "server/backup_file.h"
#include "server/state/types.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_network.h"
#include "tests/support/mem_file_system.h"

namespace lockd::sim {

struct Backup {
  std::string file;  // its bytes
  raft::LogBase base;
  state::Digest digest;
  size_t era = 0;  // of the cluster that it is of
};

class SimOperator : public Host {
 public:
  struct Options {
    HostId host;
    uint64_t seed = 0;
    uint64_t nodes = 0;  // hosts 1..nodes
    // How often the cluster was restored.
    std::function<size_t()> era;
    // The last entry that some node has applied by now.
    std::function<raft::Index()> applied;
    std::function<void(Backup)> on_saved;
    std::function<void(const std::string&)> trace;  // may be empty
  };

  SimOperator(Scheduler* scheduler, SimNetwork* network, Options options);

  // Begins to save one, if none is being saved.
  void Save();

  void OnDialed(LinkId link) override;
  void OnDialFailed(LinkId link, bool refused) override;
  void OnAccepted(LinkId link, bool is_peer_port) override;
  void OnBytes(LinkId link, std::string bytes) override;
  void OnLinkClosed(LinkId link) override;

 private:
  // What has come of one node so far.
  struct Attempt {
    HostId node;
    LinkId link;
    uint64_t step = 0;  // counts what is waited for
    int dials_left = 5;
    size_t era = 0;
    raft::Index asked;  // the backup is to be of no less
    uint32_t last_request = 0;
    FrameDecoder decoder{kClientFrameBytesMax};
    std::optional<pb::TakeSnapshotReply> taken;
    std::unique_ptr<BackupFile> file;
    uint64_t offset = 0;
  };

  void TryNode();
  void Dial();
  // Takes the snapshot, or the next piece of it.
  void Ask();
  void AppendRequest(std::string* bytes, Opcode opcode,
                     const google::protobuf::MessageLite& request);
  // If the next step does not come in time, the link counts as broken.
  void ExpectStep();
  // False: this node is of no more use.
  [[nodiscard]] bool OnFrame(const FrameView& frame);
  [[nodiscard]] bool OnTaken(const FrameView& frame);
  [[nodiscard]] bool OnPiece(const FrameView& frame);
  void Finish();
  void OnBroken();
  void GiveUpNode();
  [[nodiscard]] bool IsOf(LinkId link) const { return attempt_ && attempt_->link == link; }

  Scheduler* const scheduler_;
  SimNetwork* const network_;
  const Options options_;
  Random random_;
  storage::MemFileSystem disk_;
  int tries_left_ = 0;
  bool is_saving_ = false;
  std::optional<Attempt> attempt_;
  uint64_t attempts_ = 0;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SIM_OPERATOR_H_
