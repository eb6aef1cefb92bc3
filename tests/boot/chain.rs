//! Lives of one device, each a test of many starts. They come early in the alphabet: tests run in its order, and no core
//! waits for the longest ones in the end.

mod trust;
mod updates;
