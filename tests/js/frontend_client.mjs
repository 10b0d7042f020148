// The frontend's client of the source document (section 13, lib/api-client.js), its class word for word, so that a change
// which would break that frontend breaks a test. Only what surrounds the class is made to run under Node: the
// environment variables come from the test, and what the test wants of the client follows after it.
// Used by tests/e2e/test_frontend_client.py; prints one JSON document.

import { openAsBlob } from 'node:fs';
import { basename } from 'node:path';

const API_BASE_URL = process.env.NEXT_PUBLIC_BACKEND_URL || 'https://your-backend.timeweb.cloud';
const API_KEY = process.env.NEXT_PUBLIC_API_KEY;

class NFTBackendClient {
  constructor() {
    this.baseURL = API_BASE_URL;
    this.defaultHeaders = {
      'Content-Type': 'application/json',
      'X-API-Key': API_KEY
    };
  }
  
  // Минт одного NFT
  async mintSingle(data) {
    const formData = new FormData();
    formData.append('collectionId', data.collectionId);
    formData.append('recipient', data.recipient);
    formData.append('metadata', JSON.stringify(data.metadata));
    formData.append('copies', data.copies.toString());
    
    if (data.imageFile) {
      formData.append('image', data.imageFile);
    }
    
    const response = await fetch(`${this.baseURL}/api/mint/single`, {
      method: 'POST',
      headers: {
        'X-API-Key': API_KEY
        // НЕ устанавливаем Content-Type для FormData
      },
      body: formData
    });
    
    return this.handleResponse(response);
  }
  
  // Batch минт
  async mintBatch(data) {
    const formData = new FormData();
    formData.append('collectionId', data.collectionId);
    formData.append('recipient', data.recipient);
    formData.append('nfts', JSON.stringify(data.nfts));
    formData.append('batchSize', data.batchSize.toString());
    
    // Добавление файлов
    data.imageFiles.forEach((file, index) => {
      formData.append('images', file);
    });
    
    const response = await fetch(`${this.baseURL}/api/mint/batch`, {
      method: 'POST',
      headers: {
        'X-API-Key': API_KEY
      },
      body: formData
    });
    
    return this.handleResponse(response);
  }
  
  // Получение статуса операции
  async getMintStatus(transactionId) {
    const response = await fetch(`${this.baseURL}/api/mint/status/${transactionId}`, {
      headers: this.defaultHeaders
    });
    
    return this.handleResponse(response);
  }
  
  // Отмена операции
  async cancelMint(transactionId) {
    const response = await fetch(`${this.baseURL}/api/mint/cancel/${transactionId}`, {
      method: 'DELETE',
      headers: this.defaultHeaders
    });
    
    return this.handleResponse(response);
  }
  
  // Получение статистики
  async getStats() {
    const response = await fetch(`${this.baseURL}/api/stats/overview`, {
      headers: this.defaultHeaders
    });
    
    return this.handleResponse(response);
  }
  
  // Обработка ответов
  async handleResponse(response) {
    const data = await response.json();
    
    if (!response.ok) {
      throw new Error(data.error || `HTTP ${response.status}`);
    }
    
    return data;
  }
}

export const nftBackendClient = new NFTBackendClient();

// What the frontend's upload page does with it (source document, section 13), step by step.

const { collection, recipient, images, pollMs } = JSON.parse(process.argv[2]);

async function imageFile(path) {
  return new File([await openAsBlob(path)], basename(path), { type: 'image/png' });
}

async function followed(transactionId) {
  for (;;) {
    const status = (await nftBackendClient.getMintStatus(transactionId)).data;
    if (['completed', 'failed', 'cancelled'].includes(status.status)) return status;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return error.message;
  }
  return null;
}

const single = await nftBackendClient.mintSingle({
  collectionId: collection,
  recipient,
  metadata: { name: 'Tent single', description: 'Generated NFT from 01.png', attributes: [] },
  copies: 1,
  imageFile: await imageFile(images[0]),
});

const files = await Promise.all(images.map(imageFile));
const batch = await nftBackendClient.mintBatch({
  collectionId: collection,
  recipient,
  nfts: files.map((file, index) => ({
    name: `Tent ${index}`,
    description: `Generated NFT from ${file.name}`,
    copies: index + 1,
  })),
  imageFiles: files,
  batchSize: 2,
});

const singleStatus = await followed(single.data.transactionId);
const batchStatus = await followed(batch.data.transactionId);

const cancelled = await nftBackendClient.mintBatch({
  collectionId: collection,
  recipient,
  nfts: [{ name: 'Tent again', copies: 40 }],
  imageFiles: [files[0]],
  batchSize: 1,
});
const cancellation = await nftBackendClient.cancelMint(cancelled.data.transactionId);
const cancelledStatus = await followed(cancelled.data.transactionId);

const errors = {
  unknownOperation: await refusal(() => nftBackendClient.getMintStatus('0199d1a0-0000-7000-8000-00000000dead')),
  unknownCollection: await refusal(() =>
    nftBackendClient.mintSingle({
      collectionId: '0199d1a0-0000-7000-8000-00000000dead',
      recipient,
      metadata: { name: 'Nowhere' },
      copies: 1,
      imageFile: files[0],
    }),
  ),
  badRecipient: await refusal(() =>
    nftBackendClient.mintSingle({
      collectionId: collection,
      recipient: 'nobody',
      metadata: { name: 'For nobody' },
      copies: 1,
      imageFile: files[0],
    }),
  ),
  cancelTwice: await refusal(() => nftBackendClient.cancelMint(cancelled.data.transactionId)),
  cancelEnded: await refusal(() => nftBackendClient.cancelMint(single.data.transactionId)),
};

const stats = await nftBackendClient.getStats();

console.log(
  JSON.stringify({ single, batch, singleStatus, batchStatus, cancelled, cancellation, cancelledStatus, errors, stats }),
);
