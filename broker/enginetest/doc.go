// Package enginetest tests engines: one suite that every engine must pass, an engine that
// does everything a bad day can bring, and a cluster in one process that can do so, too, to
// test what stands on engines.
package enginetest
