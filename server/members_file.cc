#include "server/members_file.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/config.h"

namespace lockd {
namespace {

constexpr char kName[] = "members";
constexpr char kTempName[] = "members.tmp";

}  // namespace

absl::Status WriteMembersFile(storage::FileSystem* file_system, const std::string& directory,
                              const std::vector<state::Member>& members) {
  const std::string path = storage::JoinPath(directory, kName);
  const std::string temp = storage::JoinPath(directory, kTempName);
  const absl::Status removed = file_system->Unlink(temp);  // of a start that was cut off
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  auto file = file_system->Open(temp, storage::FileSystem::OpenMode::kCreate);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->Write(0, absl::StrCat(FormatPeers(members), "\n"));
  if (status.ok()) status = (*file)->Sync();
  if (status.ok()) status = file_system->Rename(temp, path);
  if (status.ok()) status = file_system->SyncDirectory(directory);
  return status;
}

absl::StatusOr<std::vector<state::Member>> ReadMembersFile(storage::FileSystem* file_system,
                                                           const std::string& directory) {
  const std::string path = storage::JoinPath(directory, kName);
  auto file = file_system->Open(path, storage::FileSystem::OpenMode::kRead);
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  std::string text(*size, '\0');
  const absl::StatusOr<size_t> count = (*file)->Read(0, text.size(), text.data());
  if (!count.ok()) return count.status();
  absl::string_view line = text;
  if (*count == text.size() && absl::ConsumeSuffix(&line, "\n")) {
    absl::StatusOr<std::vector<state::Member>> members = ParsePeers(line);
    if (members.ok()) return members;
  }
  return absl::DataLossError(absl::StrCat(path,
                                          " at offset 0: not a list of members; write back the "
                                          "--peers of the cluster's first start as one line"));
}

}  // namespace lockd
