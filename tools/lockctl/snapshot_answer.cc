#include "tools/lockctl/snapshot_answer.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "protocol/base/text.h"
#include "server/state/digest_text.h"

namespace lockd::lockctl {

using Json = nlohmann::ordered_json;

Json ToJson(const SnapshotAnswer& answer) {
  const SnapshotRecord& snapshot = answer.snapshot;
  Json json = {{"index", snapshot.index},
               {"term", snapshot.term},
               {"cluster_time_ms", snapshot.cluster_time_ms},
               {"locks", snapshot.locks},
               {"sessions", snapshot.sessions},
               {"digest", EscapeName(snapshot.digest)},
               {"content_bytes", snapshot.bytes},
               {"cluster_id", absl::StrCat(snapshot.cluster_id)},
               {"cluster_name", EscapeName(snapshot.cluster_name)},
               {"node_id", absl::StrCat(snapshot.node_id)},
               {"client_address", EscapeName(answer.address)}};
  if (!answer.file.empty()) {
    json["file"] = EscapeName(answer.file);
    json["file_bytes"] = answer.file_bytes;
  }
  return json;
}

std::string ToText(const SnapshotAnswer& answer) {
  const SnapshotRecord& snapshot = answer.snapshot;
  std::string text;
  if (!answer.file.empty()) {
    absl::StrAppend(&text, "file      ", EscapeName(answer.file), ", ", answer.file_bytes,
                    " bytes, verified\n");
  }
  absl::StrAppend(&text, "entry     ", snapshot.index, " of term ", snapshot.term,  //
                  "\nlocks     ", snapshot.locks,                                   //
                  "\nsessions  ", snapshot.sessions,                                //
                  "\ndigest    ", EscapeName(snapshot.digest),                      //
                  "\nbytes     ", snapshot.bytes,                                   //
                  "\ncluster   ", EscapeName(snapshot.cluster_name), ", id ",
                  snapshot.cluster_id,  //
                  "\nnode      ", snapshot.node_id, " at ", EscapeName(answer.address), "\n");
  return text;
}

absl::Status CheckLoaded(const state::LockDatabase& database, const SnapshotRecord& snapshot) {
  const std::string digest = state::ToText(database.digest());
  if (digest == snapshot.digest && database.lock_count() == snapshot.locks &&
      database.session_count() == snapshot.sessions) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("the node said digest ", snapshot.digest, ", ", snapshot.locks, " locks and ",
                   snapshot.sessions, " sessions, its snapshot has ", digest, ", ",
                   database.lock_count(), " and ", database.session_count()));
}

}  // namespace lockd::lockctl
