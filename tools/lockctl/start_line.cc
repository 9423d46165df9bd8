#include "tools/lockctl/start_line.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "protocol/base/text.h"

namespace lockd::lockctl {
namespace {

// Whom it asks first: a voter that is known to have run, if there is one.
std::string ContactOf(const MemberRecord& joiner, const std::vector<MemberRecord>& members) {
  std::string contact;
  for (const MemberRecord& member : members) {
    if (member.node_id == joiner.node_id) continue;
    if (member.was_seen && member.role == MemberRole::kVoter) return member.peer_address;
    if (contact.empty()) contact = member.peer_address;
  }
  return contact;
}

// Empty: there is none below.
std::string ProposedClientAddress(const std::string& peer_address) {
  absl::StatusOr<HostPort> address = ParseHostPort(peer_address);
  if (!address.ok() || address->port <= 1) return "";
  --address->port;
  return address->ToString();
}

std::string Quoted(const std::string& word) {
  const bool is_plain = std::all_of(word.begin(), word.end(), [](char letter) {
    return absl::ascii_isalnum(static_cast<unsigned char>(letter)) ||
           absl::string_view("-_./:,@%+=").find(letter) != absl::string_view::npos;
  });
  if (is_plain && !word.empty()) return word;
  return absl::StrCat("'", absl::StrReplaceAll(EscapeName(word), {{"'", "'\\''"}}), "'");
}

}  // namespace

std::vector<std::string> StartLine(const MemberRecord& joiner,
                                   const std::vector<MemberRecord>& members,
                                   const std::string& cluster_name) {
  std::vector<std::string> words = {"lockd",
                                    "--join",
                                    ContactOf(joiner, members),
                                    "--node-id",
                                    absl::StrCat(joiner.node_id),
                                    "--cluster-name",
                                    cluster_name,
                                    "--peer-listen",
                                    joiner.peer_address};
  const std::string client_address = ProposedClientAddress(joiner.peer_address);
  if (!client_address.empty()) words.insert(words.end(), {"--client-listen", client_address});
  words.insert(words.end(), {"--data-dir", absl::StrCat("./lockd-data-", joiner.node_id)});
  return words;
}

std::string ForShell(const std::vector<std::string>& words) {
  return absl::StrJoin(words, " ", [](std::string* out, const std::string& word) {
    absl::StrAppend(out, Quoted(word));
  });
}

}  // namespace lockd::lockctl
