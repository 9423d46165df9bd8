// Asio's own function definitions, compiled once for the whole project: everything else sees only
// their declarations (BOOST_ASIO_SEPARATE_COMPILATION), which halves the compile time of each file.
#include <boost/asio/impl/src.hpp>
