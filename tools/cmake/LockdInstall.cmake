# What `cmake --install` puts where: the programs, and the client library for find_package(lockd).
#
#   bin/                 lockd, lockctl, lockbench, wal_dump
#   lib/                 the static libraries behind lockd::client
#   lib/cmake/lockd/     lockd-config.cmake
#   include/lockd/       client/*.h and protocol/base/*.h, as far as they are public
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lockd)

target_include_directories(lockd_options INTERFACE
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/lockd>)
set_target_properties(lockd_client PROPERTIES EXPORT_NAME client)
install(TARGETS lockd_client lockd_session_fsm lockd_protocol lockd_proto lockd_base lockd_asio lockd_options
  EXPORT lockd ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT lockd NAMESPACE lockd:: FILE lockd-targets.cmake DESTINATION ${package_dir})

file(WRITE ${CMAKE_BINARY_DIR}/lockd-config.cmake [=[
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(absl)
find_dependency(Protobuf)
find_dependency(Boost 1.81)
include(${CMAKE_CURRENT_LIST_DIR}/lockd-targets.cmake)
]=])
write_basic_package_version_file(${CMAKE_BINARY_DIR}/lockd-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/lockd-config.cmake ${CMAKE_BINARY_DIR}/lockd-config-version.cmake
  DESTINATION ${package_dir})

# The public headers and what they include; a test builds a program with nothing but these.
foreach(header
    client/blocking_client.h client/boot_clock.h client/client.h client/completion.h
    client/distributed_lock.h client/fence_gate.h client/lockable.h client/options.h client/outcomes.h
    client/records.h client/session.h
    protocol/base/check.h protocol/base/ids.h protocol/base/strong_int.h protocol/base/time.h)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockd/${folder})
endforeach()

install(TARGETS lockd lockctl lockbench wal_dump)
