import CNUMA

/// One turn of a loop that waits for another thread's store.
package func pauseWhileWaiting() { attention_pause() }
