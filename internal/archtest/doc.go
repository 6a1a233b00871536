// Package archtest holds the shape of the repository and checks it by reading
// the source: which package may import which, that every package says what it
// is for, and a few habits that no linter knows.
//
// It guarantees that a new package cannot join the tree without a line in the
// import table, and that a forbidden edge is named, file and import, in the
// failure. There is nothing to import here but tests.
package archtest
