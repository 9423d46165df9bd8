// wal_dump: prints a node's log and snapshots and says whether they are whole.
#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "consensus/storage/posix_file_system.h"
#include "tools/wal_dump/dump.h"

int main(int argc, char** argv) {
  CLI::App app(
      "Prints the write-ahead log and the snapshots of a lockd node, and decides as a start of "
      "that\n"
      "node would. Reads only; a directory that is in use can be looked at, but its last write "
      "may\n"
      "then look torn.",
      "wal_dump");
  app.footer(
      "Exit status: 0 clean, 1 torn tail (the last write was cut off by a crash; a start cuts it "
      "away),\n2 damaged, or not a log (file and offset on stderr).\n\n"
      "Examples:\n"
      "  wal_dump lockd-data                        all records and blocks\n"
      "  wal_dump --verify lockd-data               one line for each file\n"
      "  wal_dump --json lockd-data/wal/wal-000000000001\n\n"
      "The format is described in consensus/README.md.");
  app.set_version_flag("--version", std::string("wal_dump " LOCKD_VERSION));
  std::string path;
  lockd::wal_dump::DumpOptions options;
  app.add_option("PATH", path,
                 "a data directory, its wal or snapshots directory, one file of them, or a backup")
      ->required();
  app.add_flag("--json", options.json, "one JSON object instead of text");
  app.add_flag("--verify", options.verify, "check everything, print no records and blocks");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  lockd::storage::PosixFileSystem file_system;
  return lockd::wal_dump::Dump(&file_system, path, options, &std::cout, &std::cerr);
}
