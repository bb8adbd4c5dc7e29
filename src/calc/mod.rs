//! Every computation from the shell.
