// The one source file of each shared library: CMake wants a target to have one; all code comes from the
// component archives.
