/* Counts the words of its standard input and of the files that it is given, and
   writes the sums to words.out: a program of C as clang and wasi-libc make it. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long count(FILE *f) {
	long n = 0;
	int c, in = 0;
	while ((c = getc(f)) != EOF) {
		if (isspace(c))
			in = 0;
		else if (!in)
			in = 1, n++;
	}
	return n;
}

int main(int argc, char **argv) {
	const char *label = getenv("LABEL");
	FILE *out = fopen("words.out", "w");
	if (!out) {
		fprintf(stderr, "words.out: %s\n", strerror(errno));
		return 2;
	}
	fprintf(out, "%s stdin %ld\n", label ? label : "-", count(stdin));
	int failed = 0;
	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "r");
		if (!f) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
			failed = 1;
			continue;
		}
		fprintf(out, "%s %ld\n", argv[i], count(f));
		fclose(f);
	}
	fclose(out);
	volatile char *big = malloc(20 << 20);
	if (!big)
		return 3;
	for (long i = 0; i < 20 << 20; i += 4096)
		big[i] = 1;
	printf("done\n");
	return failed;
}
