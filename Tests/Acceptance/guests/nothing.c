// The least a function can do.
int main(void) { return 0; }
