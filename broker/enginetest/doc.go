// Package enginetest tests engines: one suite that every engine must pass, and an
// engine that does everything a bad day can bring, to test what stands on engines.
package enginetest
