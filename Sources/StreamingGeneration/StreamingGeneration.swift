// From a GGUF file to a stream of text with one import.
//
// Nothing is declared here. Programs that need less import the modules one by one.

@_exported public import Generation
@_exported public import ModelFiles
@_exported public import Models
@_exported public import StreamingAttention
@_exported public import Tokenization
