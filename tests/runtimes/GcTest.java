import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** What a virtual machine does with its memory: trees that three threads replace bit by bit and that must be whole in
 *  the end, null pointers (faults), stacks that are full (guard pages), a heap that is full. */
public class GcTest {
    static final class Node {
        final int value;
        Node left, right;

        Node(int value) { this.value = value; }
    }

    static Node tree(int depth, int value) {
        Node n = new Node(value);

        if (depth > 0) {
            n.left = tree(depth - 1, value + 1);
            n.right = tree(depth - 1, value + 2);
        }
        return n;
    }

    static long sum(Node n) { return n == null ? 0 : n.value + sum(n.left) + sum(n.right); }

    static int deep(int n) { return deep(n + 1) + 1; }

    static long churn(int rounds) {
        Node[] kept = new Node[16];
        long want = sum(tree(10, 1)), wrong = 0;

        for (int r = 0; r < rounds; r++)
            kept[r % 16] = tree(10, 1);
        for (Node k : kept)
            if (k != null && sum(k) != want)
                wrong++;
        return wrong;
    }

    public static void main(String[] args) throws Exception {
        int rounds = Integer.parseInt(args[0]), caught = 0;
        ExecutorService pool = Executors.newFixedThreadPool(3);
        List<Future<Long>> results = new ArrayList<>();
        List<byte[]> all = new ArrayList<>();
        long wrong = 0;

        for (int t = 0; t < 3; t++)
            results.add(pool.submit(() -> churn(rounds)));
        for (Future<Long> f : results)
            wrong += f.get();
        pool.shutdown();
        System.out.println(wrong + " wrong");
        for (int i = 0; i < 30000; i++)
            try {
                ((Object)(i % 3 == 0 ? null : args)).hashCode();
            } catch (NullPointerException e) {
                caught++;
            }
        System.out.println(caught + " null pointers");
        try {
            deep(0);
        } catch (StackOverflowError e) {
            System.out.println("a full stack");
        }
        try {
            for (;;)
                all.add(new byte[8 << 20]);
        } catch (OutOfMemoryError e) {
            all.clear();
            System.out.println("a full heap");
        }
        System.gc();
        if (args.length > 1) {
            System.out.println("waiting");
            Thread.sleep(1000 * Integer.parseInt(args[1]));
        }
    }
}
