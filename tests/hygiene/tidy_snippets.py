"""What each rule of tools/tidy.py must accept and refuse: rule -> list of (good or bad, files)."""


def header(path, body):
    guard = "LOCKD_" + path.upper().replace("/", "_").replace(".", "_") + "_"
    return {path: f"#ifndef {guard}\n#define {guard}\n{body}\n#endif\n"}


def include(path, *names):
    return {path: "".join(f"#include {name}\n" for name in names)}


MAP = "absl::flat_hash_map<std::string, uint32_t> ids_;\n"
RAFT = "consensus/raft/raft.cc"

SNIPPETS = {
    "include_table": [
        ("good", include(RAFT, "<vector>", '"protocol/base/check.h"', '"absl/types/span.h"')),
        ("bad", include(RAFT, "<boost/asio/io_context.hpp>")),
        ("bad", include(RAFT, '"boost/asio/io_context.hpp"')),
        ("bad", include(RAFT, "<google/protobuf/message.h>")),
        ("bad", include(RAFT, '"protocol/frame.h"')),
        ("bad", include(RAFT, '"consensus/storage/log_store.h"')),
        ("bad", include(RAFT, '"absl/time/clock.h"')),
        ("bad", include(RAFT, "<unistd.h>")),
        *(("bad", include(RAFT, f"<{name}>")) for name in ("thread", "chrono", "random", "iostream")),
        ("bad", include("protocol/base/check.cc", '"protocol/frame.h"')),
        ("bad", include("protocol/base/check.cc", "<isa-l/crc.h>")),
        ("good", include("protocol/base/crc32c.cc", "<isa-l/crc.h>")),
        ("bad", include("protocol/frame.cc", "<boost/asio/buffer.hpp>")),
        ("good", include("consensus/storage/log_store.cc", '"consensus/raft/types.h"', "<fcntl.h>")),
        ("bad", include("consensus/storage/log_store.cc", '"consensus/raft/raft.h"')),
        ("bad", include("consensus/storage/log_store.cc", '"protocol/raft.pb.h"')),
        ("bad", include("server/state/lock_table.cc", '"consensus/raft/types.h"')),
        ("good", include("server/state/index_map.h", '"absl/container/flat_hash_map.h"')),
        ("good", include("server/node/node.cc", '"consensus/raft/raft.h"', '"server/state/types.h"')),
        ("bad", include("server/node/node.cc", '"server/net/listener.h"')),
        ("bad", include("server/node/node.cc", '"consensus/storage/log_store.h"')),
        ("bad", include("server/node/node.cc", "<spdlog/spdlog.h>")),
        ("good", include("server/net/listener.cc", "<spdlog/spdlog.h>", "<boost/asio/ip/tcp.hpp>")),
        ("bad", include("server/net/listener.cc", '"server/state/lock_table.h"')),
        ("bad", include("server/main.cc", '"client/client.h"')),
        ("bad", include("client/client.cc", '"server/node/node.h"')),
        ("bad", include("client/client.cc", "<spdlog/spdlog.h>")),
        ("good", include("client/client.h", "<boost/asio/any_io_executor.hpp>", "<chrono>")),
        ("bad", include("client/session_fsm.cc", "<boost/asio/any_io_executor.hpp>")),
        ("bad", include("client/session_fsm.h", "<chrono>")),
        ("bad", include("client/fence_gate.h", '"absl/strings/string_view.h"')),
        ("good", include("client/fence_gate.h", '"protocol/base/ids.h"')),
        ("bad", include("client/examples/blocking.cc", '"protocol/frame.h"')),
        ("bad", include("server/main.cc", "<gtest/gtest.h>")),
        ("bad", include("tools/lockctl/main.cc", '"tests/support/history.h"')),
        ("good", include("tools/sim/main.cc", '"tests/sim/sim_cluster.h"')),
        ("bad", include("elsewhere/a.cc", "<vector>")),
    ],
    "include_paths": [
        ("good", include("client/a.cc", '"client/a.h"') | {"client/a.h": ""}),
        ("good", include("client/a.cc", '"protocol/lock.pb.h"') | {"protocol/lock.proto": ""}),
        ("bad", include("client/a.cc", '"a.h"') | {"client/a.h": ""}),
        ("bad", include("client/a.cc", "<client/a.h>") | {"client/a.h": ""}),
        ("bad", include("client/a.cc", '"client/gone.h"')),
    ],
    "own_header_first": [
        ("good", include("client/a.cc", '"client/a.h"', "<vector>") | {"client/a.h": ""}),
        ("bad", include("client/a.cc", "<vector>", '"client/a.h"') | {"client/a.h": ""}),
        ("bad", {"client/a.cc": "int a;\n", "client/a.h": ""}),
        ("good", include("client/main.cc", "<vector>")),
    ],
    "header_guard": [
        ("good", header("client/a.h", "int a();")),
        ("bad", {"client/a.h": "#ifndef A_H\n#define A_H\n#endif\n"}),
        ("bad", {"client/a.h": "#pragma once\nint a();\n"}),
    ],
    "threading_line": [
        ("good", {"client/a.h": "// Threading: pure value.\nclass A {\n};\n"}),
        ("good", {"client/a.h": "class A;\nint a();\n"}),
        ("bad", {"client/a.h": "class A {\n};\n"}),
        ("bad", {"client/a.h": "struct A final {\n};\n"}),
    ],
    "file_length": [
        ("good", {"client/a.cc": "int a;\n" * 600}),
        ("bad", {"client/a.cc": "int a;\n" * 601}),
        ("good", {"client/a.cc": "// Long because: a table.\n" + "int a;\n" * 600}),
        ("bad", {"tools/a.py": "a = 1\n" * 601}),
    ],
    "todo": [
        ("good", {"client/a.cc": "// TODO(issue): members cannot change yet.\n"}),
        ("bad", {"client/a.cc": "// TODO: later\n"}),
        ("bad", {"client/a.cc": "// TODO(issue)\n"}),
        ("bad", {"README.md": "FIXME\n"}),
    ],
    "no_sleep": [
        ("bad", {"tests/client/a_test.cc": "std::this_thread::sleep_for(10ms);\n"}),
        ("bad", {"server/net/a.cc": "  usleep(10);\n"}),
        ("good", {"tests/e2e/a_test.cc": "std::this_thread::sleep_for(10ms);\n"}),
        ("good", {"tests/client/a_test.cc": "// never sleep(1)\n"}),
    ],
    "pure_calls": [
        ("bad", {RAFT: "const auto now = std::chrono::steady_clock::now();\n"}),
        ("bad", {RAFT: "  return time(nullptr);\n"}),
        ("bad", {RAFT: '  if (getenv("X")) return;\n'}),
        ("bad", {RAFT: "  double ratio = 0;\n"}),
        ("bad", {RAFT: '  printf("hello");\n'}),
        ("good", {RAFT: "  const ClusterTime t = entry.time();  // time(nullptr), double\n"}),
        ("good", {RAFT: "  ClusterTime time() const { return time_; }\n"}),
        ("good", {"server/net/a.cc": "  double ratio = 0;\n"}),
    ],
    "hash_order": [
        ("bad", {"server/state/a.cc": MAP + "for (const auto& [name, id] : ids_) Visit(id);\n"}),
        ("bad", {"server/state/a.cc": MAP + "auto it = table->ids_.begin();\n"}),
        ("bad", {"server/state/a.h": MAP, "server/state/a.cc": "for (auto& [k, v] : ids_) Visit(v);\n"}),
        ("good", {"server/state/a.cc": MAP + "for (uint32_t id : SortedKeys(ids_)) Visit(id);\n"}),
        ("good", {"server/state/a.cc": MAP + "if (ids_.find(name) == ids_.end()) return;\n"}),
        ("good", {"server/net/a.cc": MAP + "for (const auto& [name, id] : ids_) Visit(id);\n"}),
    ],
    "no_throw": [
        ("bad", {"client/a.cc": "  throw std::runtime_error(what);\n"}),
        ("good", {"client/a.cc": "  // does not throw\n"}),
        ("good", {"server/config.cc": "if (!ok) throw CLI::ValidationError(flag, wrong);\n"}),
    ],
    "coroutine_lambda": [
        ("bad", {"client/a.cc": "co_await Run([this] { Go(); });\n"}),
        ("bad", {"client/a.cc": "auto x = co_await async_initiate<T>(\n  [&](auto h) { f(h); }, token);\n"}),
        ("bad", {"client/a.cc": "co_await Run([x = 1]() mutable { Go(x); });\n"}),
        ("good", {"client/a.cc": "const auto go = [this] { Go(); };\nco_await Run(go);\n"}),
        ("good", {"client/a.cc": "co_await Run([] { Go(); });\n"}),
        ("good", {"client/a.cc": "auto [error, n] = co_await Read(buffers[i], use_awaitable);\n"}),
    ],
    "no_disabled_test": [
        ("bad", {"tests/a_test.cc": "TEST(Lock, DISABLED_Waits) {\n"}),
        ("bad", {"tests/a_test.cc": "  GTEST_SKIP();\n"}),
        ("good", {"tests/a_test.cc": "TEST(Lock, Waits) {\n"}),
    ],
    "no_machine_path": [
        ("bad", {"README.md": "see /home/me/lockd\n"}),
        ("bad", {"tools/a.sh": "cd /root/x\n"}),
        ("good", {"tools/a.sh": "cd build/work/x\n"}),
    ],
    "listed_in_cmake": [
        ("good", {"client/a.cc": "", "client/CMakeLists.txt": "lockd_library(c SOURCES a.cc)\n"}),
        ("good", {"client/b/a.cc": "", "client/CMakeLists.txt": "lockd_library(c SOURCES b/a.cc)\n"}),
        ("bad", {"client/a.cc": "", "client/CMakeLists.txt": "lockd_library(c SOURCES aa.cc)\n"}),
        ("bad", {"client/a.cc": "", "server/CMakeLists.txt": "lockd_library(c SOURCES a.cc)\n"}),
    ],
    "script_habits": [
        ("good", {"snippet/a.sh": "#!/usr/bin/env bash\nset -euo pipefail\n"}),
        ("bad", {"snippet/a.sh": "#!/usr/bin/env bash\necho\n"}),
    ],
}
