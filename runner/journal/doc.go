// Package journal keeps on disk what the server does not have yet of a runner's
// tasks: their rows, steps, outputs and results, so that neither a server that
// is away nor a runner that is killed loses any of it.
//
// A Journal is a folder that one process holds locked. Every task has a Log in
// it, a folder of segments:
//
//	DIR/lock                 held by the runner that uses the folder
//	DIR/pid                  its process number
//	DIR/fetching             there while a fetch is under way
//	DIR/probe                there while it is asked whether the disk takes a task
//	DIR/mark-containers      facts for the next process
//	DIR/task-12/00000001.seg segments, written one after the other
//	DIR/kept/task-12.log     what could not be delivered, as text
//
// A segment begins with a magic number and then has frames: length, checksum,
// record. The checksum is seeded with the task and the segment, so that no frame
// is taken for another file's. Each segment begins with everything that is known
// of the task but its rows; an old one is removed as soon as the server has its
// rows and the next one is safely on disk.
//
// A frame that is cut short or whose checksum is wrong ends the journal of its
// task: what a crash tore is cut off and is no error.
//
// What comes in is masked already. Nothing here ever sees a task's secrets: not
// its context, not its workflow, only its numbers and names.
package journal
