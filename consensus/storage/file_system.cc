#include "consensus/storage/file_system.h"

#include "absl/strings/str_cat.h"

namespace lockd::storage {

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  if (directory.empty() || directory.back() == '/') return absl::StrCat(directory, name);
  return absl::StrCat(directory, "/", name);
}

std::string ParentPath(absl::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  if (slash == 0) return "/";
  return std::string(path.substr(0, slash));
}

}  // namespace lockd::storage
