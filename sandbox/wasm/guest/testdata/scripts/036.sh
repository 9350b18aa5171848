case abc in a*) echo A;; *) echo other;; esac; case x in y|x) echo xy;; esac; case 5 in [0-9]) echo digit;; esac
