// DiskTrouble: the hand on a process's disk (disk_shim.cc).
//
//   DiskTrouble disk(cluster.data_dir(0));
//   cluster.set_environment(0, disk.environment());
//   cluster.Start(0);
//   disk.Begin("sync-error", EIO);
//   ...
//   disk.End();
//
// Threading: one thread.
#ifndef LOCKD_TESTS_E2E_DISK_TROUBLE_H_
#define LOCKD_TESTS_E2E_DISK_TROUBLE_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/process.h"

namespace lockd::e2e {

class DiskTrouble {
 public:
  explicit DiskTrouble(const std::filesystem::path& data_dir)
      : data_dir_(data_dir.string()), control_(data_dir_ + ".disk") {}

  // For the process whose disk it is.
  [[nodiscard]] testing::Words environment() const {
    return {std::string("LD_PRELOAD=") + LOCKD_DISK_SHIM, "LOCKD_DISK_SHIM_DIRECTORY=" + data_dir_,
            "LOCKD_DISK_SHIM_CONTROL=" + control_};
  }
  // One trouble at a time; the words are those of disk_shim.cc.
  void Begin(const std::string& word, uint64_t number) const {
    // By a rename, so that the process sees all of it or nothing.
    std::ofstream(control_ + ".new") << word << ' ' << number << '\n';
    std::filesystem::rename(control_ + ".new", control_);
  }
  void End() const { std::filesystem::remove(control_); }

 private:
  const std::string data_dir_;
  const std::string control_;
};

}  // namespace lockd::e2e

#endif  // LOCKD_TESTS_E2E_DISK_TROUBLE_H_
